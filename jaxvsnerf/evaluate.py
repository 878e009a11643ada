"""Scores a run's stages against the truth.

    python -m jaxvsnerf.evaluate --workdir=DIR

Writes DIR/eval/metrics.json and DIR/eval/metrics.csv.
"""

from __future__ import annotations

from jaxvsnerf.run.remake import evaluate_folder
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    workdir = cli.define_workdir()
    cli.run(lambda _: evaluate_folder(workdir.value))


if __name__ == "__main__":
    main()
