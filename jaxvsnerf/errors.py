"""Errors that are nobody's bug: a command shows them as one line, without a traceback.

Any other exception is a bug and keeps its traceback. An `OSError` that names a file is shown as
one line too, see `is_expected`.
"""

from __future__ import annotations


class InputError(ValueError):
    """Something given is wrong; the message says what was expected, what came, what to do."""


class MissingFile(InputError, FileNotFoundError):
    """A file or folder that was named does not exist."""


class MissingExtra(ImportError):
    """An optional package is absent; the message holds the pip line."""


class StorageError(OSError):
    """A file could not be written or read, or a connection was lost; the message names which."""


class NonFiniteLoss(ArithmeticError):
    """The loss was NaN or infinite; the state that led to it is not saved."""


class Interrupted(Exception):
    """The run was asked to stop; its state is saved."""


class OtherProcessFailed(RuntimeError):
    """What another process of the run failed with; the message is that process's."""


EXPECTED = (InputError, MissingExtra, StorageError, NonFiniteLoss, OtherProcessFailed)


def is_expected(error: BaseException) -> bool:
    """Whether an error is shown as one line: one of ours, or an OSError that names its file."""
    return isinstance(error, EXPECTED) or (
        isinstance(error, OSError) and error.filename is not None
    )


def describe(error: BaseException) -> str:
    """The text of an error; of an OSError the file and the reason."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file could not be written'}: {error.strerror}"
    return str(error) or type(error).__name__
