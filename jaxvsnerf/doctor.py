"""Says whether this installation works: `python -m jaxvsnerf.doctor`."""

from __future__ import annotations

from absl import flags

from jaxvsnerf.run.doctor import examine
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    seconds = flags.DEFINE_float("seconds", 10.0, "Of training; 0: none.", lower_bound=0.0)

    def command(_) -> int:
        problems = examine(seconds.value)
        for problem in problems:
            cli.say(f"problem: {problem}")
        cli.say("something is wrong" if problems else "all is well")
        return 1 if problems else 0

    cli.run(command)


if __name__ == "__main__":
    main()
