"""The frame of every command: output, one-line errors, exit statuses."""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NoReturn

from absl import app, flags, logging
from tqdm import tqdm

from jaxvsnerf.errors import Interrupted, Terminated, error_text, is_expected
from jaxvsnerf.system import streams
from jaxvsnerf.system.compilation import configure
from jaxvsnerf.system.help import docstring, help_text, wants_help
from jaxvsnerf.system.machine import check_addresses, machine_problem
from jaxvsnerf.system.signals import SIGNALLED, arrived, end_in_order

BAR = "{percentage:3.0f}%|{bar:20}| {desc}"
CLEAR = "\r\033[K"  # empties a terminal's line


def say(line: str, *, passing: bool = False, done: float | None = None) -> None:
    """Prints a line; on a terminal the next line overwrites a passing line.

    Args:
      line: the text.
      passing: whether the line is overwritten.
      done: share of the work that is done, 0 to 1: a terminal shows a bar before the line, and
        overwrites the line until the share is 1. Elsewhere the line is plain.
    """
    if not sys.stdout.isatty():
        print(line, flush=True)
        return
    passing = passing if done is None else done < 1
    if passing or done is not None:  # a line that wraps cannot be overwritten
        line = tqdm.format_meter(
            n=done or 0.0,
            total=1.0,
            elapsed=0.0,
            ncols=max(shutil.get_terminal_size().columns - 1, 1),
            prefix=line,
            ascii=not (sys.stdout.encoding or "").lower().startswith("utf"),
            bar_format="{desc}" if done is None else BAR,
        )
    print(CLEAR + line, end="" if passing else "\n", flush=True)


def complain(line: str) -> None:
    """Prints a line to stderr; on a terminal the line overwrites a passing line."""
    print((CLEAR if sys.stderr.isatty() else "") + line, file=sys.stderr)


def define_workdir() -> flags.FlagHolder:
    """The flag --workdir."""
    return flags.DEFINE_string("workdir", "", "The folder of the run.")


def run(main: Callable[[Sequence[str]], int | None], positional: int = 0) -> None:
    """Runs a command and ends the process; wrong input gives one line and a status other than 0.

    Args:
      main: the command; the status that it returns, or None for 0, is the process's. The docstring
        of its module is the head of --help.
      positional: number of arguments that may stand beside the flags.
    """

    def guarded(argv: Sequence[str]) -> int:
        if len(argv) > 1 + positional:
            complain(f"error: unknown argument {argv[-1]!r}; see --help")
            return 2
        logging.set_verbosity(logging.WARNING)
        logging.use_absl_handler()
        logging.get_absl_handler().python_handler.setStream(sys.stderr)
        configure(os.environ)

        def work() -> int | None:
            check_addresses()
            return main(argv)

        return guard(work, traceback.value) or _lost_output()

    streams.settle()
    end_in_order()
    traceback = flags.DEFINE_bool("traceback", False, "Show where an error comes from.")
    app.run(guarded, flags_parser=partial(_parse, docstring(sys.modules[main.__module__])))


def guard(work: Callable[[], int | None], traceback: bool = False) -> int:
    """Does a command's work; an expected error becomes a line on stderr, any other is raised.

    Where the machine lacks memory, a device or the like, the error is told in a line too.

    Args:
      work: the work; the status that it returns, or None for 0, is the process's.
      traceback: whether expected errors are raised too.

    Returns:
      The exit status: the work's, 1 after an expected error, 143 after SIGTERM, 130 after SIGINT.
    """
    try:
        return work() or 0
    except Interrupted as stopped:
        complain(f"{stopped}; the same command goes on from there")
        return SIGNALLED + stopped.number
    except (KeyboardInterrupt, Terminated) as stopped:
        arrived(stopped)
        number = signal.SIGINT if isinstance(stopped, KeyboardInterrupt) else signal.SIGTERM
        complain(f"stopped by {number.name}; the same command goes on from what is saved")
        return SIGNALLED + number
    except Exception as error:
        text = error_text(error) if is_expected(error) else machine_problem(error)
        if traceback or not text:
            raise
        complain(f"error: {text}")
        return 1


@contextlib.contextmanager
def parsing() -> Iterator[None]:
    """A block that reads flags: a wrong one ends the process with one line and status 2."""
    try:
        yield
    except flags.UnrecognizedFlagError as error:
        config, dot, _ = error.flagname.partition(".")
        known = dot and config in flags.FLAGS
        _refuse(f"--{error.flagname}: expected --{config} first" if known else str(error))
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        text = (
            _unknown_setting(error) if isinstance(error, (AttributeError, KeyError)) else str(error)
        )
        _refuse(text)


def _refuse(text: str) -> NoReturn:
    """Ends the process with a line on wrong flags."""
    complain(f"error: {' '.join(text.split())}")
    sys.exit(2)


def _parse(doc: str, argv: Sequence[str]) -> list[str]:
    """Parses flags; --help prints the help, which begins with `doc`, and ends the process."""
    if wants_help(argv):
        print(help_text(doc, flags.FLAGS))
        sys.exit(_lost_output())
    with parsing():
        return flags.FLAGS(list(argv))


def _lost_output() -> int:
    """1 with an error on stderr if a part of the standard output could not be written, else 0."""
    if lost := streams.lost_output():
        complain(f"error: {lost}")
    return 1 if lost else 0


def _unknown_setting(error: AttributeError | KeyError) -> str:
    """The message for the name of a setting that does not exist.

    The message of ml_collections is the repr of the name, or of the name and a guess, or the repr
    of such a repr.
    """
    name, *guess = str(error.args[0]).splitlines()
    with contextlib.suppress(SyntaxError, ValueError):
        while isinstance(text := ast.literal_eval("\n".join([name, *guess])), str):
            name, *guess = text.splitlines()
    return ". ".join([f"there is no setting {name}", *guess])
