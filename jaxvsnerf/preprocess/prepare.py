"""Prepares input views for training and records the changes of each view."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from jaxvsnerf.metrics.consistency import reduced
from jaxvsnerf.preprocess.denoise import LEAST_NOISE, noise_level, remove_noise
from jaxvsnerf.preprocess.harmonize import LEAST_CHANGE, apply_colors, solve_colors
from jaxvsnerf.preprocess.outliers import find_outliers
from jaxvsnerf.preprocess.spec import PreprocessSpec
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.records import (
    Check,
    amount,
    fields,
    flag,
    items,
    numbers,
    positive,
    read_record,
)
from jaxvsnerf.types import Dataset, ViewSet

FILE = "preprocess.json"
MEND = (
    "delete the file and give the run's train command again, which makes it; without the file the "
    "page does not say what was done to the views"
)
# Name of a step -> its findings and changes, as stored in JSON.
Record = dict[str, dict[str, Any]]


def prepare_views(views: ViewSet, spec: PreprocessSpec) -> tuple[ViewSet, Record]:
    """Applies the chosen preprocessing steps to the input views.

    Args:
      views: V input views in the object's cube; without masks, or with V < 2, no step runs.
      spec: steps to run.

    Returns:
      The views to train on (pictures that needed no change are the same, bit for bit), and the
      record of the steps that ran: `denoise` (`noise` [V], `changed` [V]), `outliers`
      (`weights` [V]) and `harmonize` (`gains` [V][3], `offsets` [V][3], `changed`).
    """
    record: Record = {}
    if views.masks is None or len(views.images) < 2:
        return views, record
    if spec.denoise:
        views, record["denoise"] = _denoised(views)
    if spec.outliers:
        views, record["outliers"] = _weighed(views)
    if spec.harmonize:
        views, record["harmonize"] = _harmonized(views)
    return views, record


def _denoised(views: ViewSet) -> tuple[ViewSet, dict[str, Any]]:
    with ThreadPoolExecutor() as pool:
        noise = list(pool.map(noise_level, views.images, views.masks))
        # One generator made all views, so the median decides: a single view may have odd texture.
        usual = float(np.median(noise))
        changed = [usual > LEAST_NOISE] * len(noise)

        def one(view: int) -> np.ndarray:
            image, mask = views.images[view], views.masks[view]
            return remove_noise(image, mask, noise[view] or usual)

        if usual > LEAST_NOISE:
            views = views.replace(images=np.stack(list(pool.map(one, range(len(noise))))))
    return views, dict(noise=noise, changed=changed)


def _weighed(views: ViewSet) -> tuple[ViewSet, dict[str, Any]]:
    wrong = find_outliers(views.images, views.masks, views.cameras)
    weights = (~wrong).astype(np.float32)
    if wrong.any():
        views = views.replace(weights=weights)
    return views, dict(weights=weights.tolist())


def _harmonized(views: ViewSet) -> tuple[ViewSet, dict[str, Any]]:
    kept = np.ones(len(views.images), bool) if views.weights is None else views.weights > 0
    gains, offsets = solve_colors(*reduced(views.images, views.masks, views.cameras), kept)
    images = apply_colors(views.images, views.masks, views.background, gains, offsets)
    area = np.maximum(views.masks.sum((1, 2)), 1.0)
    change = np.abs(images - views.images).mean(-1).sum((1, 2)) / area
    changed = bool(change.max() > LEAST_CHANGE)
    if changed:
        views = views.replace(images=images)
    return views, dict(gains=gains.tolist(), offsets=offsets.tolist(), changed=changed)


def save_record(folder: Path, record: Record) -> None:
    """Writes preprocess.json, unless no step ran."""
    if record:
        write_text(folder / FILE, json.dumps(record) + "\n")


def load_record(folder: Path, num_views: int) -> Record:
    """Reads the preprocessing record of a run; empty if the run has no preprocess.json.

    Args:
      folder: folder of the run.
      num_views: V, the photo not included.

    Raises:
      DamagedFile: the file does not hold what `prepare_views` says of V views.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    return read_record(path, _record_check(num_views), MEND)


def _record_check(num_views: int) -> Check:
    """The check of preprocess.json of V views."""
    return fields(
        {},
        {
            "denoise": fields(
                {"noise": items(amount, num_views), "changed": items(flag, num_views)}
            ),
            "outliers": fields({"weights": items(amount, num_views)}),
            "harmonize": fields(
                {
                    "gains": numbers(num_views, 3, each=positive),
                    "offsets": numbers(num_views, 3),
                    "changed": flag,
                }
            ),
        },
    )


def record_facts(record: Mapping[str, Mapping[str, Any]], names: tuple[str, ...]) -> dict[str, str]:
    """Describes a preprocessing record in short texts, for a page.

    Args:
      record: see `prepare_views`.
      names: V names of the views.

    Returns:
      Title -> text.
    """
    facts = {}
    if step := record.get("denoise"):
        count, level = sum(step["changed"]), np.max(step["noise"])
        facts["noise"] = f"up to {level:.3f}, removed from {count} views" if count else "none found"
    if step := record.get("outliers"):
        out = [name for name, weight in zip(names, step["weights"], strict=True) if not weight]
        facts["views left out"] = ", ".join(out) or "none"
    if step := record.get("harmonize"):
        largest = np.abs(np.log(step["gains"])).max()
        done = f"changed by up to {np.expm1(largest):.0%}" if step["changed"] else "left alone"
        facts["colours"] = done
    return facts


def trained_views(dataset: Dataset) -> ViewSet:
    """Views to train on: the prepared views, or the inputs if no step changed them."""
    return dataset.inputs if dataset.prepared is None else dataset.prepared
