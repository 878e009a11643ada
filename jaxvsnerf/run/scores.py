"""Scores the stages of a run against the truth: eval/metrics.json and eval/metrics.csv."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jaxvsnerf.metrics.lpips import MAKE_WEIGHTS, Lpips
from jaxvsnerf.metrics.scores import (
    METRICS,
    Scores,
    check_metrics,
    gather_metrics,
    score_views,
    write_metrics_csv,
    write_metrics_json,
)
from jaxvsnerf.rendering.images import Picture
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.system import cli
from jaxvsnerf.system.records import amount, fields, number, read_record
from jaxvsnerf.types import Dataset

METRICS_FILE, GEOMETRY_FILE = "eval/metrics.json", "eval/geometry.json"
MEND = "delete the file and run `python -m jaxvsnerf.{} --workdir={}`, which makes it again"


def evaluate_run(
    folder: Path,
    dataset: Dataset,
    stages: dict[str, TrainedField],
    say: Callable[[str], None] = cli.say,
    perceptual: Lpips | None = None,
) -> dict[str, Picture]:
    """Renders every stage at the truth's cameras and writes the scores.

    Args:
      folder: folder of the run.
      dataset: pictures of the run.
      stages: stage name -> field.
      say: takes the lines to show.
      perceptual: network and weights of LPIPS; None writes null for LPIPS.

    Returns:
      stage name -> pictures at the truth's cameras; empty without truth.
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
    write_metrics_json(folder / METRICS_FILE, metrics)
    write_metrics_csv(folder / "eval" / "metrics.csv", metrics)
    say(score_table(scores, inputs))
    if perceptual is None:
        say(f"no LPIPS: metrics.lpips names a file of weights; {MAKE_WEIGHTS}")
    return pictures


def metrics_mend(folder: Path) -> str:
    """What to do about a damaged eval/metrics.json."""
    return MEND.format("evaluate", folder)


def read_metrics(folder: Path) -> Scores | None:
    """Reads eval/metrics.json of a run, see `gather_metrics`; None if there is none.

    Raises:
      DamagedFile: the file does not hold scores.
    """
    path = folder / METRICS_FILE
    return read_record(path, check_metrics, metrics_mend(folder)) if path.is_file() else None


def read_geometry(folder: Path) -> dict[str, float] | None:
    """Reads eval/geometry.json of a run, see `score_geometry`; None if there is none.

    Raises:
      DamagedFile: the file does not hold scores of a mesh.
    """
    path = folder / GEOMETRY_FILE
    # Runs up to 0.2.0 lack the score of normals.
    check = fields({"chamfer": amount, "iou": number}, {"normal_deg": amount})
    return read_record(path, check, MEND.format("export", folder)) if path.is_file() else None


def score_table(scores: dict[str, dict], inputs: dict | None) -> str:
    """Formats the mean scores as aligned text, a row per model."""
    rows = {"inputs": inputs, **scores} if inputs else scores
    known = [metric for metric in METRICS if all(values[metric] for values in rows.values())]
    lines = ["".join(f"{column:>12}" for column in ("", *known, "views"))]
    for name, values in rows.items():
        means = "".join(f"{values[metric]['mean']:12.4f}" for metric in known)
        lines.append(f"{name:>12}{means}{len(values['views']):>12}")
    return "\n".join(lines)
