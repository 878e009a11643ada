"""Scores a run's stages against the truth.

    python -m jaxvsnerf.evaluate --workdir=DIR [--path=PICTURES]

Writes DIR/eval/metrics.json and DIR/eval/metrics.csv.
"""

from __future__ import annotations

from jaxvsnerf.config.flags import define_paths
from jaxvsnerf.run.remake import evaluate_folder
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    workdir, paths = cli.define_workdir(), define_paths("path", "truth", "photo", "lpips")
    cli.run(lambda _: evaluate_folder(workdir.value, paths()))


if __name__ == "__main__":
    main()
