"""Scores a run's stages against the truth.

    python -m jaxvsnerf.evaluate --workdir=DIR

Writes DIR/eval/metrics.json and DIR/eval/metrics.csv.
"""

from __future__ import annotations

from jaxvsnerf.config.files import load_config
from jaxvsnerf.run import assemble
from jaxvsnerf.run.dataset import load_pictures
from jaxvsnerf.run.saved import load_stages
from jaxvsnerf.run.scores import evaluate_run
from jaxvsnerf.run.workdir import locked, open_run
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    workdir = cli.define_workdir()

    def command(_) -> None:
        folder = open_run(workdir.value)
        with locked(folder):
            config = load_config(folder / "config.json")
            dataset, _ = load_pictures(config)
            perceptual = assemble.load_perceptual(config, dataset)
            stages = load_stages(folder)
            evaluate_run(folder, dataset, stages, perceptual=perceptual)

    cli.run(command)


if __name__ == "__main__":
    main()
