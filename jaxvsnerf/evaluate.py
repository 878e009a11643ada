"""Scores a run's stages against the truth.

    python -m jaxvsnerf.evaluate --workdir=DIR

Writes DIR/eval/metrics.json and DIR/eval/metrics.csv.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jaxvsnerf import assemble, cli
from jaxvsnerf.config import load_config
from jaxvsnerf.metrics.lpips import MAKE_WEIGHTS, Lpips
from jaxvsnerf.metrics.scores import (
    METRICS,
    gather_metrics,
    score_views,
    write_metrics_csv,
    write_metrics_json,
)
from jaxvsnerf.rendering.images import Picture
from jaxvsnerf.saved import load_stages
from jaxvsnerf.trained import TrainedField
from jaxvsnerf.types import Dataset
from jaxvsnerf.workdir import locked, open_run


def evaluate_run(
    folder: Path,
    dataset: Dataset,
    stages: dict[str, TrainedField],
    say: Callable[[str], None] = cli.say,
    perceptual: Lpips | None = None,
) -> dict[str, Picture]:
    """Renders every stage at the truth's cameras and writes the scores.

    Args:
      folder: the run.
      dataset: its pictures.
      stages: stage name -> field.
      say: takes the lines to show.
      perceptual: network and weights of LPIPS; without them that score is null.

    Returns:
      stage name -> pictures at the truth's cameras; empty where no truth is known.
    """
    if dataset.truth is None:
        say("no truth pictures: nothing to score (data.truth names them)")
        return {}
    truth = dataset.truth
    pictures = {name: field.render(truth.cameras) for name, field in stages.items()}
    scores = {
        name: score_views(picture.rgb, truth.images, truth.names, perceptual)
        for name, picture in pictures.items()
    }
    inputs = None
    if dataset.clean is not None:
        given = dataset.inputs
        inputs = score_views(given.images, dataset.clean, given.names, perceptual)
    metrics = gather_metrics(scores, inputs)
    write_metrics_json(folder / "eval" / "metrics.json", metrics)
    write_metrics_csv(folder / "eval" / "metrics.csv", metrics)
    say(score_table(scores, inputs))
    if perceptual is None:
        say(f"no LPIPS: metrics.lpips names a file of weights; {MAKE_WEIGHTS}")
    return pictures


def score_table(scores: dict[str, dict], inputs: dict | None) -> str:
    """The mean scores as aligned text, a row per model."""
    rows = {"inputs": inputs, **scores} if inputs else scores
    known = [metric for metric in METRICS if all(values[metric] for values in rows.values())]
    lines = ["".join(f"{column:>12}" for column in ("", *known, "views"))]
    for name, values in rows.items():
        means = "".join(f"{values[metric]['mean']:12.4f}" for metric in known)
        lines.append(f"{name:>12}{means}{len(values['views']):>12}")
    return "\n".join(lines)


def main() -> None:
    """The command."""
    workdir = cli.define_workdir()

    def command(_) -> None:
        folder = open_run(workdir.value)
        with locked(folder):
            config = load_config(folder / "config.json")
            dataset, _ = assemble.load_pictures(config)
            perceptual = assemble.load_perceptual(config, dataset)
            stages = load_stages(folder)
            evaluate_run(folder, dataset, stages, perceptual=perceptual)

    cli.run(command)


if __name__ == "__main__":
    main()
