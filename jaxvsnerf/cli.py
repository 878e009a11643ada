"""What the commands share: flags, one-line errors, exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from jaxvsnerf.compilation import use_cache
from jaxvsnerf.training.loop import Interrupted, NonFiniteLoss
from jaxvsnerf.training.processes import OtherProcessFailed, describe

INTERRUPTED = 143  # 128 + SIGTERM, what a shell expects of a process ended by it

# What bad input, a full disk or a missing package raise; anything else is a bug and
# keeps its traceback.
EXPECTED_ERRORS = (ValueError, OSError, ImportError, NonFiniteLoss, OtherProcessFailed)


def define_workdir() -> flags.FlagHolder:
    """The flag --workdir."""
    return flags.DEFINE_string("workdir", "", "Folder of the run.")


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Runs a command: a clear line and a status other than 0 where the input is wrong."""

    def guarded(argv: Sequence[str]) -> int:
        if len(argv) > 1:
            print(f"error: unknown argument {argv[1]!r}; see --help", file=sys.stderr)
            return 2
        logging.set_verbosity(logging.WARNING)
        logging.use_absl_handler()
        use_cache(os.environ)
        try:
            main(argv)
        except Interrupted as stopped:
            print(f"{stopped}; the same command goes on from there", file=sys.stderr)
            return INTERRUPTED
        except KeyboardInterrupt:
            print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
            return 130
        except EXPECTED_ERRORS as error:
            if flags.FLAGS.traceback:
                raise
            print(f"error: {describe(error)}", file=sys.stderr)
            return 1
        return 0

    flags.DEFINE_bool("traceback", False, "Show where an error comes from.")
    flags.adopt_module_key_flags(sys.modules[__name__])
    app.run(guarded, flags_parser=_parse)


def _parse(argv: Sequence[str]) -> list[str]:
    """Parses flags; a wrong one is an error of one line."""
    try:
        return flags.FLAGS(list(argv))
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        # A KeyError's text is the repr of its message.
        text = str(error.args[0] if isinstance(error, KeyError) else error)
        print(f"error: {' '.join(text.split())}", file=sys.stderr)
        sys.exit(2)
