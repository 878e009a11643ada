"""The errors that a command shows as one line, without a traceback.

They say that something given is wrong, that the machine lacks something, or that a run was
stopped. An `OSError` that names a file is shown as one line too, see `is_expected`. Any other
exception, a plain `ValueError` included, is a bug in the calling code and keeps its traceback.
"""

from __future__ import annotations

import signal


class InputError(ValueError):
    """An input of the user is wrong: the message says what was expected, what came, what to do."""


class DamagedFile(InputError):
    """A file that this program wrote no longer holds what was written.

    Attributes:
      path: the file.
      fault: what was expected and what came.
      mend: what to do.
    """

    def __init__(self, path: object, fault: str, mend: str):
        super().__init__(f"{path}: {fault}; {mend}")
        self.path, self.fault, self.mend = path, fault, mend

    def __reduce__(self):
        return type(self), (self.path, self.fault, self.mend)


class MissingFile(InputError, FileNotFoundError):
    """A file or folder that the user named does not exist."""


class MissingExtra(ImportError):
    """An optional package is absent; the message holds the pip line."""


class StorageError(OSError):
    """A file could not be read or written, or a connection was lost; the message says which."""


class NonFiniteLoss(ArithmeticError):
    """The loss was NaN or infinite; the state that led to it is not saved."""


class Interrupted(Exception):
    """The run was asked to stop; its state is saved.

    Attributes:
      number: the signal that asked; SIGTERM if another process was asked.
    """

    number: int = signal.SIGTERM


class Terminated(SystemExit):
    """SIGTERM came where nothing waits for it: what is being written is given up."""


class OtherProcessFailed(RuntimeError):
    """Another process of the run failed; the message is that process's."""


EXPECTED = (InputError, MissingExtra, StorageError, NonFiniteLoss, OtherProcessFailed)


def is_expected(error: BaseException) -> bool:
    """Whether an error is shown as one line: one of EXPECTED, or an OSError that names a file."""
    return isinstance(error, EXPECTED) or (
        isinstance(error, OSError) and error.filename is not None
    )


def describe(error: BaseException) -> str:
    """The words of an error; of an OSError that names a file, the file and the reason."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or ' '.join(map(str, error.args))}"
    return str(error) or type(error).__name__


def error_text(error: BaseException) -> str:
    """The words of an expected error; of any other error its type and its words."""
    text = describe(error)
    return text if is_expected(error) else f"{type(error).__name__}: {text}"
