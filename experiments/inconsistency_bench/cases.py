"""What is scored: cases, that is pictures to reconstruct from, and rows of the result."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.inconsistency_bench.methods import Method, Settings
from jaxvsnerf import assemble
from jaxvsnerf.config import default_config
from jaxvsnerf.data.inconsistency import simulate
from jaxvsnerf.data.load import load_dataset
from jaxvsnerf.data.objects import StudyObject
from jaxvsnerf.data.severity import SEVERITIES
from jaxvsnerf.files import write_text
from jaxvsnerf.geometry.cameras import take
from jaxvsnerf.metrics.lpips import Lpips
from jaxvsnerf.metrics.scores import score_views
from jaxvsnerf.types import ViewSet

REAL = "real"
SCORES = ("psnr", "ssim", "lpips")
KEY = ("object", "severity", "views", "seed", "method", "settings")
COLUMNS = (*KEY, *SCORES, "seconds")
# The method that leaves the pictures as they are.
INPUTS = "inputs"
Row = dict[str, str]


class Case(NamedTuple):
    """Pictures to reconstruct from.

    Attributes:
      item: the object.
      severity: of the damage to its truth, or `real` for the pictures it comes with.
      views: how many, evenly spaced.
      seed: of the damage and of training.
    """

    item: StudyObject
    severity: str
    views: int
    seed: int


@lru_cache(maxsize=8)  # methods of a case follow each other
def load_case(case: Case) -> tuple[ViewSet, ViewSet]:
    """(views, truth): what a method is given, and all views it is scored on.

    Raises:
      ValueError: an object without truth, without pictures of its own for `real`, or with
        another number of views than can be evenly spaced.
    """
    dataset = load_dataset(assemble.data_spec(assemble.with_data(default_config(), case.item.data)))
    truth, name = dataset.truth, case.item.name
    if truth is None:
        raise ValueError(f"{name}: expected truth pictures, there are none")
    if case.severity == REAL:
        if case.item.inputs == "truth":
            raise ValueError(
                f"{name}: expected pictures of a generator for `real`, got truth alone"
            )
        views = dataset.inputs
    else:
        views = simulate(truth, SEVERITIES[case.severity], case.seed).views
    count = len(views.images)
    if case.views < 1 or count % case.views:
        raise ValueError(
            f"{name}: expected a number of views that divides {count}, got {case.views}"
        )
    return _eight_bit(_every(views, count // case.views)), truth


def _every(views: ViewSet, step: int) -> ViewSet:
    index = range(0, len(views.images), step)
    return views.replace(
        images=views.images[::step],
        masks=None if views.masks is None else views.masks[::step],
        cameras=take(views.cameras, index),
        names=views.names[::step],
    )


def _eight_bit(views: ViewSet) -> ViewSet:
    """As a generator stores them, so that programs that read files see the same."""
    images, masks = (
        None if leaf is None else np.round(255.0 * leaf).astype(np.float32) / 255.0
        for leaf in (views.images, views.masks)
    )
    return views.replace(images=images, masks=masks)


def score_method(
    case: Case, name: str, settings: Settings, method: Method, perceptual: Lpips | None
) -> Row:
    """A method's row of a case.

    Args:
      case: the pictures.
      name: of the method.
      settings: it was made with.
      method: it.
      perceptual: of LPIPS, or None.
    """
    views, truth = load_case(case)
    started = time.perf_counter()
    pictures = np.asarray(method(views, case.seed)(truth.cameras))
    seconds = time.perf_counter() - started
    return _row(case, name, settings, _score(pictures, truth, perceptual), seconds)


def score_inputs(case: Case, perceptual: Lpips | None) -> Row:
    """The row of the pictures themselves."""
    views, truth = load_case(case)
    own = _every(truth, len(truth.images) // len(views.images))
    return _row(case, INPUTS, {}, _score(views.images, own, perceptual), 0.0)


def _score(pictures: np.ndarray, truth: ViewSet, perceptual: Lpips | None) -> dict[str, Any]:
    pictures = np.clip(pictures, 0.0, 1.0).astype(np.float32)
    scores = score_views(pictures, truth.images, truth.names, perceptual)
    return {name: scores[name] and scores[name]["mean"] for name in SCORES}


def _row(case: Case, method: str, settings: Settings, scores: Mapping, seconds: float) -> Row:
    values = {name: "" if value is None else f"{value:.6f}" for name, value in scores.items()}
    key = case_key(case, method, settings)
    return {**dict(zip(KEY, key, strict=True)), **values, "seconds": f"{seconds:.2f}"}


def case_name(case: Case) -> str:
    """For people and for folders."""
    return f"{case.item.name}-{case.severity}-{case.views}-{case.seed}"


def case_key(case: Case, method: str, settings: Settings) -> tuple[str, ...]:
    """What tells rows apart, see `KEY`."""
    text = json.dumps(settings, sort_keys=True)
    return case.item.name, case.severity, str(case.views), str(case.seed), method, text


def row_key(row: Row) -> tuple[str, ...]:
    """What tells rows apart, see `KEY`."""
    return tuple(row[name] for name in KEY)


def read_rows(path: Path) -> list[Row]:
    """The rows of a results file, none where there is no file.

    Raises:
      ValueError: it holds something else.
    """
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is None or tuple(reader.fieldnames) != COLUMNS:
            raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}")
        return list(reader)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Writes a results file, whole or not at all, sorted."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=row_key))
    write_text(path, text.getvalue())
