"""Cases (pictures to reconstruct from) and the rows of their scores."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from experiments import results_file
from experiments.inconsistency_bench.methods import Method, Settings
from experiments.results_file import Row
from jaxvsnerf.config import resolve
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.data.meshes import read_surface
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import match_cameras, optical_axes, take, transform_points
from jaxvsnerf.metrics.disagreement import SIGMA, disagreement, roc_auc
from jaxvsnerf.metrics.geometry import score_geometry
from jaxvsnerf.metrics.lpips import Lpips
from jaxvsnerf.metrics.scores import score_views
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.simulate.inconsistency import simulate
from jaxvsnerf.simulate.severity import MEDIUM, SEVERITIES, Severity
from jaxvsnerf.study.objects import StudyObject
from jaxvsnerf.types import Dataset, Surface, ViewSet

# A generator's own pictures of the object.
REAL = "real"
# The part of `medium` that is equal in all views: the object is bent along the input view's line of
# sight. The views agree on the bent object, so agreement alone does not lead to the truth.
COMMON = "common"
DAMAGES = {**SEVERITIES, COMMON: Severity(depth=MEDIUM.depth)}
SCORES = ("psnr", "ssim", "lpips")
# ROC AUC of the map of disagreement as a detector of the object's damaged pixels. For the inputs
# the detector is the edges of the pictures.
FINDS = "finds_damage"
# A pixel is damaged if its error exceeds this share of the colour range.
DAMAGED = 0.1
KEY = ("object", "severity", "views", "seed", "method", "settings")
# Scores of the surface, if --shape is given and both method and object have a surface.
SHAPE = ("chamfer", "iou", "normal_deg")
COLUMNS = (*KEY, *SCORES, FINDS, *SHAPE, "seconds")
# The method that returns the input pictures.
INPUTS = "inputs"


class Case(NamedTuple):
    """Pictures to reconstruct from.

    Attributes:
      item: the object.
      severity: a name of `DAMAGES`, or `real` for a generator's own pictures.
      views: number of views, evenly spaced.
      seed: seed of the damage and of training.
    """

    item: StudyObject
    severity: str
    views: int
    seed: int


@lru_cache(maxsize=8)  # the methods of a case run one after the other
def load_case(case: Case) -> tuple[ViewSet, ViewSet]:
    """Loads (views, truth): the inputs of a method, and all views to score, in the cube.

    View 0 is nearest to the generator's input picture.

    Raises:
      InputError: the object has no truth, has no own pictures for `real`, or its views cannot be
        evenly spaced.
    """
    dataset = _dataset(case.item)
    truth, name = dataset.truth, case.item.name
    if truth is None:
        raise InputError(f"{name}: expected truth pictures, there are none")
    if case.severity == REAL:
        if case.item.inputs == "truth":
            raise InputError(
                f"{name}: expected pictures of a generator for `real`, got truth alone"
            )
        views = dataset.inputs
    else:
        views = simulate(truth, DAMAGES[case.severity], case.seed).views
    views = views.replace(input_axis=np.asarray(optical_axes(views.cameras))[0])
    count = len(views.images)
    if case.views < 1 or count % case.views:
        raise InputError(
            f"{name}: expected a number of views that divides {count}, got {case.views}"
        )
    return _eight_bit(_every(views, count // case.views)), truth


@lru_cache(maxsize=2)
def _dataset(item: StudyObject) -> Dataset:
    return load_dataset(resolve.data_spec(resolve.with_data(default_config(), item.data)))


def _every(views: ViewSet, step: int) -> ViewSet:
    index = range(0, len(views.images), step)
    return views.replace(
        images=views.images[::step],
        masks=None if views.masks is None else views.masks[::step],
        cameras=take(views.cameras, index),
        names=views.names[::step],
    )


def _eight_bit(views: ViewSet) -> ViewSet:
    """Rounds pictures to 8 bits, so that programs that read files see the same pictures."""
    images, masks = (
        None if leaf is None else np.round(255.0 * leaf).astype(np.float32) / 255.0
        for leaf in (views.images, views.masks)
    )
    return views.replace(images=images, masks=masks)


def score_method(
    case: Case,
    name: str,
    settings: Settings,
    method: Method,
    perceptual: Lpips | None,
    shape: bool = False,
) -> Row:
    """Trains and scores a method on a case; returns the row.

    Args:
      case: the pictures.
      name: name of the method.
      settings: settings of the method.
      method: the method.
      perceptual: network and weights of LPIPS, or None.
      shape: whether to score the surface too.
    """
    views, truth = load_case(case)
    started = time.perf_counter()
    renderer = method(views, case.seed)
    pictures = np.asarray(renderer(truth.cameras))
    seconds = time.perf_counter() - started
    scores = _score(pictures, truth, perceptual)
    scores[FINDS] = _finds_damage(pictures, views, truth)
    if shape and case.item.mesh and hasattr(renderer, "surface"):
        scores |= score_geometry(renderer.surface(), _true_surface(case), truth.cameras)
    return _row(case, name, settings, scores, seconds)


def score_inputs(case: Case, perceptual: Lpips | None) -> Row:
    """Scores the input pictures; the row has no scores if the truth has other cameras."""
    views, truth = load_case(case)
    own, scores = _own_truth(views, truth), {}
    if own is not None:
        true = truth.replace(
            images=truth.images[own], names=tuple(truth.names[index] for index in own)
        )
        scores = _score(views.images, true, perceptual)
        # Damage makes edges, so edges are the baseline for a map of disagreement.
        scores[FINDS] = _finds(_edges, views, truth.images[own])
    return _row(case, INPUTS, {}, scores, 0.0)


def _own_truth(views: ViewSet, truth: ViewSet) -> list[int] | None:
    """Indices of the true views with the cameras of `views`; None if a camera has no true view."""
    if views.images.shape[1:] != truth.images.shape[1:]:
        return None
    where = match_cameras(views.cameras, truth.cameras)
    return None if None in where else where


def _true_surface(case: Case) -> Surface:
    dataset = _dataset(case.item)
    surface = read_surface(case.item.mesh)
    moved = transform_points(surface.vertices, dataset.to_cube)
    return surface._replace(vertices=np.asarray(moved, np.float64))


def _finds_damage(pictures: np.ndarray, views: ViewSet, truth: ViewSet) -> float | None:
    """ROC AUC of the disagreement of views with renderings of all true views, see `FINDS`."""
    own = _own_truth(views, truth)
    if own is None:
        return None
    return _finds(lambda images: disagreement(images, pictures[own]), views, truth.images[own])


def _finds(
    detect: Callable[[np.ndarray], np.ndarray], views: ViewSet, true: np.ndarray
) -> float | None:
    """ROC AUC of a map [V, height, width] as a detector of the object's damaged pixels."""
    damage = np.sqrt(np.mean((views.images - true) ** 2, -1))
    within = np.ones(damage.shape, bool) if views.masks is None else views.masks > 0.5
    return roc_auc(detect(views.images)[within], damage[within] > DAMAGED)


def _edges(images: np.ndarray) -> np.ndarray:
    """Magnitude of the gradient, [V, height, width, 3] -> [V, height, width]."""
    sigma_px = SIGMA * images.shape[1]
    slopes = [
        gaussian_filter(images, (0.0, sigma_px, sigma_px, 0.0), order=(0, y, x, 0))
        for y, x in ((0, 1), (1, 0))
    ]
    return np.sqrt(np.mean(np.square(slopes), (0, -1)))


def _score(pictures: np.ndarray, truth: ViewSet, perceptual: Lpips | None) -> dict[str, Any]:
    pictures = np.clip(pictures, 0.0, 1.0).astype(np.float32)
    scores = score_views(pictures, truth.images, truth.names, perceptual)
    return {name: scores[name] and scores[name]["mean"] for name in SCORES}


def _row(case: Case, method: str, settings: Settings, scores: Mapping, seconds: float) -> Row:
    values = dict.fromkeys(COLUMNS, "")
    values.update((n, f"{value:.6f}") for n, value in scores.items() if value is not None)
    key = case_key(case, method, settings)
    return {**values, **dict(zip(KEY, key, strict=True)), "seconds": f"{seconds:.2f}"}


def case_name(case: Case) -> str:
    """Name of a case, for messages and folders."""
    return f"{case.item.name}-{case.severity}-{case.views}-{case.seed}"


def case_key(case: Case, method: str, settings: Settings) -> tuple[str, ...]:
    """Key of a row, see `KEY`.

    Args:
      case: the pictures.
      method: name of the method.
      settings: settings of the method.
    """
    text = json.dumps(settings, sort_keys=True)
    return case.item.name, case.severity, str(case.views), str(case.seed), method, text


def row_key(row: Row) -> tuple[str, ...]:
    """Key of a row, see `KEY`."""
    return tuple(row[name] for name in KEY)


def read_rows(path: Path) -> list[Row]:
    """Reads a results file, see `results_file.read_rows`."""
    return results_file.read_rows(path, COLUMNS)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Writes a results file, see `results_file.write_rows`."""
    results_file.write_rows(path, rows, COLUMNS, KEY)
