"""Says whether this installation works: versions, devices, extras and a short training.

python -m jaxvsnerf.doctor [--seconds=0]
"""

from __future__ import annotations

from absl import flags

from jaxvsnerf.run.doctor import examine
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    seconds = flags.DEFINE_float(
        "seconds", 10.0, "Length of the training; 0: no training.", lower_bound=0.0
    )

    def command(_) -> int:
        problems = examine(seconds.value)
        for problem in problems:
            cli.say(f"problem: {problem}")
        cli.say("something is wrong" if problems else "all is well")
        return 1 if problems else 0

    cli.run(command)


if __name__ == "__main__":
    main()
