"""What the commands share: flags, one-line errors, exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from jaxvsnerf.compilation import configure
from jaxvsnerf.training.loop import Interrupted, NonFiniteLoss
from jaxvsnerf.training.processes import OtherProcessFailed, describe

INTERRUPTED = 143  # 128 + SIGTERM, what a shell expects of a process ended by it

# What bad input, a full disk or a missing package raise; anything else is a bug and
# keeps its traceback.
EXPECTED_ERRORS = (ValueError, OSError, ImportError, NonFiniteLoss, OtherProcessFailed)


def say(line: str, *, passing: bool = False) -> None:
    """Prints a line; on a terminal the next one takes the place of a passing one."""
    terminal = sys.stdout.isatty()
    ending = "" if passing and terminal else "\n"
    print(("\r\033[K" if terminal else "") + line, end=ending, flush=True)


def define_config() -> flags.FlagHolder:
    """The flag --config, with --config.field=value for every field."""
    return config_flags.DEFINE_config_file("config", None, "Config file.", lock_config=True)


def config_value(config: flags.FlagHolder) -> ConfigDict:
    """The config that was given.

    Raises:
      ValueError: none was.
    """
    if config.value is None:
        raise ValueError("--config: expected a config file such as configs/quickstart.py")
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
            print(f"error: unknown argument {argv[-1]!r}; see --help", file=sys.stderr)
            return 2
        logging.set_verbosity(logging.WARNING)
        logging.use_absl_handler()
        configure(os.environ)
        try:
            return main(argv) or 0
        except Interrupted as stopped:
            print(f"{stopped}; the same command goes on from there", file=sys.stderr)
            return INTERRUPTED
        except KeyboardInterrupt:
            print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
            return 130
        except EXPECTED_ERRORS as error:
            if flags.FLAGS.traceback:
                raise
            print(f"error: {error_text(error)}", file=sys.stderr)
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
        # A KeyError's text is the repr of its message.
        text = str(error.args[0] if isinstance(error, KeyError) else error)
        print(f"error: {' '.join(text.split())}", file=sys.stderr)
        sys.exit(2)
