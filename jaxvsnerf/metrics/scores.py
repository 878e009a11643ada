"""Scores of views and of a run's stages, written as JSON and CSV.

Scores of one model are a plain dict:

    {"views": [names], "psnr": {"mean": float, "per_view": [floats]}, "ssim": {...}, ...,
     "lpips": null if there were no LPIPS weights}

`metrics.json` is that dict for the final model with two more keys, "stages" (name -> scores)
and "inputs" (scores of the input pictures themselves, or null). Every key whose value holds
"per_view" is a metric, so a new metric needs no change here except in `METRICS`.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxvsnerf.metrics.lpips import Lpips, lpips
from jaxvsnerf.metrics.psnr import psnr
from jaxvsnerf.metrics.ssim import ssim
from jaxvsnerf.system.files import text_cell, write_text
from jaxvsnerf.system.records import Wrong, fields, items, maybe, named, number, text

METRICS = ("psnr", "ssim", "ssim_crop5", "lpips")
# Choice: JSON has no infinity, and one view that equals the truth must not make the mean
# useless; 8-bit pictures that differ by one level in one pixel score less than this.
PSNR_CAP = 150.0

Scores = dict[str, Any]


@jax.jit
def _score_pair(image, truth):
    return psnr(image, truth), ssim(image, truth), ssim(image, truth, crop=5)


@partial(jax.jit, static_argnames="network")
def _perceived(image, truth, network, weights):
    return lpips(image, truth, Lpips(network, weights))


def score_views(
    images: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    names: Sequence[str],
    perceptual: Lpips | None = None,
) -> Scores:
    """Scores views against the truth, one pair at a time.

    Only one pair is on the device at a time. Views may differ in size; each new size compiles
    once.

    Args:
      images: V pictures [H, W, 3] in [0, 1], or one array [V, H, W, 3].
      truth: V pictures of the same sizes.
      names: V names.
      perceptual: network and weights of LPIPS, or None.

    Returns:
      {"views", "psnr", "ssim", "ssim_crop5", "lpips"} of plain lists and floats (module
      docstring). PSNR is capped at 150 dB, so that identical pictures stay valid JSON.

    Raises:
      ValueError: counts or shapes differ, no view, or a picture that is not float or not
        finite.
    """
    if not len(images) == len(truth) == len(names) or not len(names):
        raise ValueError(
            f"expected as many pictures, truths and names, at least 1, got {len(images)}, "
            f"{len(truth)} and {len(names)}"
        )
    rows = [_score_one(*view, perceptual) for view in zip(images, truth, names, strict=True)]
    scores: Scores = {"views": [str(name) for name in names]}
    for metric, values in zip(METRICS, zip(*rows, strict=True), strict=False):
        scores[metric] = {"mean": math.fsum(values) / len(values), "per_view": list(values)}
    scores.setdefault("lpips", None)
    return scores


def _score_one(
    image: np.ndarray, truth: np.ndarray, name: str, perceptual: Lpips | None
) -> tuple[float, ...]:
    """Values of `METRICS` in order; without LPIPS if `perceptual` is None."""
    if {np.asarray(image).dtype.kind, np.asarray(truth).dtype.kind} - {"f"}:
        raise ValueError(
            f"view {name}: expected float pictures in [0, 1], got {np.asarray(image).dtype} and "
            f"{np.asarray(truth).dtype}; divide 8-bit pictures by 255"
        )
    try:
        values = [float(value) for value in _score_pair(image, truth)]
        if perceptual is not None:
            network, weights = perceptual.network, dict(perceptual.weights)
            values.append(float(_perceived(image, truth, network, weights)))
    except ValueError as error:  # an InputError stays an InputError
        raise type(error)(f"view {name}: {error}") from error
    values[0] = min(values[0], PSNR_CAP)
    if not all(math.isfinite(value) for value in values):
        raise ValueError(
            f"view {name} cannot be scored: the picture or its truth holds NaN or infinity"
        )
    return tuple(values)


def gather_metrics(stages: Mapping[str, Scores], inputs: Scores | None = None) -> Scores:
    """Builds the content of `metrics.json`.

    Args:
      stages: scores per stage in training order; the last stage is the final model.
      inputs: scores of the input pictures, or None where their truth is unknown.

    Returns:
      The final model's scores plus "stages" and "inputs".

    Raises:
      ValueError: no stage.
    """
    if not stages:
        raise ValueError("expected the scores of at least one stage, got none")
    return {**list(stages.values())[-1], "stages": dict(stages), "inputs": inputs}


def metric_names(scores: Scores) -> list[str]:
    """Names of the metrics in a scores dict, in the dict's order."""
    return [
        key for key, value in scores.items() if isinstance(value, Mapping) and "per_view" in value
    ]


def models(metrics: Scores) -> dict[str, Scores]:
    """Scores of every model in `metrics.json` by name: inputs, each stage, final."""
    named = {} if metrics.get("inputs") is None else {"inputs": metrics["inputs"]}
    named.update(metrics.get("stages") or {})
    final = {key: metrics[key] for key in ("views", *metric_names(metrics))}
    return {**named, "final": final}


def check_metrics(value: Any, place: str) -> None:
    """Refuses what is not the content of `metrics.json`, see `system.records`."""
    _check_scores(value, place)
    rest = {"stages": named(_check_scores), "inputs": maybe(_check_scores)}
    fields(rest)(value, place)


def _check_scores(value: Any, place: str) -> None:
    """Refuses what is not the scores of one model: a mean and a value per view, of each metric."""
    fields({"views": items(text), "psnr": fields({"per_view": items(number)})})(value, place)
    views = value["views"]
    if not views or len(set(views)) < len(views):
        raise Wrong(f"{place}.views", "different names, at least one", views)
    metric = fields({"mean": number, "per_view": items(number, len(views))})
    fields({}, dict.fromkeys((*METRICS, *metric_names(value)), maybe(metric)))(value, place)
    for name in metric_names(value):
        mean, values = value[name]["mean"], value[name]["per_view"]
        if not math.isclose(mean, math.fsum(values) / len(values), rel_tol=1e-6, abs_tol=1e-9):
            raise Wrong(f"{place}.{name}.mean", "the mean of per_view", mean)


def write_metrics_json(path: str | Path, metrics: Scores) -> None:
    """Writes `metrics.json` atomically.

    Raises:
      ValueError: a number is NaN or infinite, which JSON cannot hold.
    """
    write_text(path, json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def write_metrics_csv(path: str | Path, metrics: Scores) -> None:
    """Writes a CSV with one row per model and view; columns are model, view and the metrics.

    A view whose name begins like a formula has a ' in front, see `text_cell`.

    Args:
      path: CSV file to write.
      metrics: content of `metrics.json`.
    """
    columns = metric_names(metrics)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "view", *columns])
    for model, scores in models(metrics).items():
        # A metric that only the final model has leaves the other models' cells empty.
        table = [(scores.get(column) or {}).get("per_view", ()) for column in columns]
        for i, view in enumerate(scores["views"]):
            writer.writerow(
                [model, text_cell(view), *(f"{c[i]:.6f}" if i < len(c) else "" for c in table)]
            )
    write_text(path, text.getvalue())
