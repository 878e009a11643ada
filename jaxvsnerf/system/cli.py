"""What the commands share: flags, one-line errors, exit statuses."""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags
from tqdm import tqdm

from jaxvsnerf.errors import InputError, Interrupted, NonFiniteLoss, OtherProcessFailed, describe
from jaxvsnerf.system.compilation import configure

INTERRUPTED = 143  # 128 + SIGTERM, what a shell expects of a process ended by it
BAR = "{percentage:3.0f}%|{bar:20}| {desc}"
CLEAR = "\r\033[K"  # a terminal's line, which a passing one may have left

# What bad input, a full disk or a missing package raise; anything else is a bug and
# keeps its traceback.
EXPECTED_ERRORS = (ValueError, OSError, ImportError, NonFiniteLoss, OtherProcessFailed)


def say(line: str, *, passing: bool = False, done: float | None = None) -> None:
    """Prints a line; on a terminal the next one takes the place of a passing one.

    Args:
      line: the text.
      passing: whether it holds for the moment only.
      done: how much of the work is done, 0 to 1: on a terminal a bar before the line, which
        passes until all is done. Elsewhere the plain line.
    """
    if not sys.stdout.isatty():
        print(line, flush=True)
        return
    passing = passing if done is None else done < 1
    if passing or done is not None:  # one that wraps could not be taken back
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
    """Prints a line to stderr, on a terminal in the place of a passing one."""
    print((CLEAR if sys.stderr.isatty() else "") + line, file=sys.stderr)


def define_config() -> flags.FlagHolder:
    """The flag --config, with --config.field=value for every field."""
    return config_flags.DEFINE_config_file("config", None, "Config file.", lock_config=True)


def config_value(config: flags.FlagHolder) -> ConfigDict:
    """The config that was given.

    Raises:
      ValueError: none was.
    """
    if config.value is None:
        raise InputError("--config: expected a config file such as configs/quickstart.py")
    return config.value


def define_workdir() -> flags.FlagHolder:
    """The flag --workdir."""
    return flags.DEFINE_string("workdir", "", "Folder of the run.")


def run(main: Callable[[Sequence[str]], int | None], positional: int = 0) -> None:
    """Runs a command: a clear line and a status other than 0 where the input is wrong.

    Args:
      main: the command; the status it returns, or None for 0, is the process's.
      positional: how many arguments may stand beside the flags.
    """

    def guarded(argv: Sequence[str]) -> int:
        if len(argv) > 1 + positional:
            complain(f"error: unknown argument {argv[-1]!r}; see --help")
            return 2
        logging.set_verbosity(logging.WARNING)
        logging.use_absl_handler()
        configure(os.environ)
        try:
            return main(argv) or 0
        except Interrupted as stopped:
            complain(f"{stopped}; the same command goes on from there")
            return INTERRUPTED
        except KeyboardInterrupt:
            complain("stopped; the same command goes on from the last checkpoint")
            return 130
        except EXPECTED_ERRORS as error:
            if flags.FLAGS.traceback:
                raise
            complain(f"error: {error_text(error)}")
            return 1

    flags.DEFINE_bool("traceback", False, "Show where an error comes from.")
    flags.adopt_module_key_flags(sys.modules[__name__])
    app.run(guarded, flags_parser=_parse)


def error_text(error: BaseException) -> str:
    """What an error says, and what it is where that is not told by its words."""
    text = describe(error)
    return text if isinstance(error, EXPECTED_ERRORS) else f"{type(error).__name__}: {text}"


def _parse(argv: Sequence[str]) -> list[str]:
    """Parses flags; a wrong one is an error of one line."""
    try:
        return flags.FLAGS(list(argv))
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        text = (
            _unknown_setting(error) if isinstance(error, (AttributeError, KeyError)) else str(error)
        )
        print(f"error: {' '.join(text.split())}", file=sys.stderr)
        sys.exit(2)


def _unknown_setting(error: AttributeError | KeyError) -> str:
    """What is wrong with the name of a setting.

    ml_collections' words are a repr of it, or of that and a guess, or a repr of these.
    """
    name, *guess = str(error.args[0]).splitlines()
    with contextlib.suppress(SyntaxError, ValueError):
        while isinstance(text := ast.literal_eval("\n".join([name, *guess])), str):
            name, *guess = text.splitlines()
    return ". ".join([f"there is no setting {name}", *guess])
