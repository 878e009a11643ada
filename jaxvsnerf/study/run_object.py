"""Runs one object of a study and writes its record."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxvsnerf.config import resolve
from jaxvsnerf.data.images import natural_key, read_picture
from jaxvsnerf.errors import DamagedFile, Interrupted, error_text
from jaxvsnerf.metrics.scores import METRICS, Scores
from jaxvsnerf.page.embed import thumbnail
from jaxvsnerf.pictures.images import split_row
from jaxvsnerf.run.job import train_run
from jaxvsnerf.run.logs import logged
from jaxvsnerf.run.scene_file import load_scene
from jaxvsnerf.run.scores import read_geometry, read_metrics
from jaxvsnerf.run.usage import load_usage
from jaxvsnerf.study.objects import StudyObject
from jaxvsnerf.study.results import Record, check_record
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.records import read_record as read_checked

RECORD = "record.json"
MEND = "the object counts as not done, and its record is made again"
THUMBNAIL_SIDE = 128


def read_record(home: Path) -> Record | None:
    """Reads the record of an object; None if its run has not ended.

    Args:
      home: the object's folder in the study.

    Raises:
      DamagedFile: the file does not hold the object's record.
    """
    path = home / RECORD
    if not path.is_file():
        return None
    record = read_checked(path, check_record, MEND)
    if record["name"] != home.name:
        raise DamagedFile(path, f"expected the record of {home.name}, got {record['name']!r}", MEND)
    return record


def run_object(
    config: ConfigDict,
    folder: Path,
    stop: Callable[[], bool],
    item: StudyObject,
    devices: Sequence[jax.Device],
) -> Record | None:
    """Runs the whole pipeline on one object.

    The run's output goes to <folder>/<name>/log.txt. A failure becomes part of the record, so
    that the other objects continue.

    Args:
      config: config of the study, whose data section the object overrides.
      folder: folder of the study.
      stop: returns whether to save and stop; a trained run is finished first.
      item: the object.
      devices: local devices that share the training; the first does everything else.

    Returns:
      The record, also written to <folder>/<name>/record.json; None if stopped before the end.

    Raises:
      OSError: the record cannot be written.
    """
    if stop():
        return None
    home, started = folder / item.name, time.perf_counter()
    home.mkdir(exist_ok=True)
    try:
        with jax.default_device(devices[0]):
            own = resolve.with_data(config, item.data)
            seconds = train_run(own, str(home), devices=devices, say=_silent, stop=stop)
        record = {"status": "ok", "error": "", "seconds": seconds, **_results(home, item)}
    except Interrupted:
        return None
    except Exception as error:  # noqa: BLE001 - a bug in one object must not stop the others
        with logged(home, _silent) as say:
            say(traceback.format_exc())
        record = failure(error)
    return keep_record(folder, item, record, time.perf_counter() - started)


def failure(error: Exception) -> Record:
    """Part of a record that describes the error of a failed object."""
    return {"status": "failed", "error": " ".join(error_text(error).split())}


def keep_record(folder: Path, item: StudyObject, outcome: Record, seconds: float) -> Record:
    """Writes an object's record.

    Args:
      folder: folder of the study, with a folder of the object's name.
      item: the object.
      outcome: result of the run: the record's fields that `item` and `seconds` do not give.
      seconds: duration of the run.

    Returns:
      The whole record.

    Raises:
      OSError: the record cannot be written.
    """
    known = {"name": item.name, "inputs": item.inputs, "mesh": item.mesh, "total": seconds}
    record = known | outcome
    write_text(folder / item.name / RECORD, json.dumps(record, indent=2) + "\n")
    return record


def _silent(line: str, **how: Any) -> None:
    """Prints nothing: a study prints one line per object; each run has its own log."""


def _results(home: Path, item: StudyObject) -> dict[str, Any]:
    """Collects a record's fields from the files of a finished run."""
    metrics, geometry = read_metrics(home) or {}, read_geometry(home) or {}
    # If the inputs are the truth pictures, their scores are meaningless.
    given = metrics.get("inputs") if item.inputs == "given" else None
    usage = load_usage(home)
    return {
        "views": len(list((home / "renders").glob("input_*.png"))),
        "memory": usage.memory.bytes if usage and usage.memory else None,
        "scores": {**_means(metrics), **geometry},
        "input_scores": _means(given or {}),
        "pictures": _pictures(home / "renders", load_scene(home).cameras.width),
    }


def _means(scores: Scores) -> dict[str, float]:
    return {metric: scores[metric]["mean"] for metric in METRICS if scores.get(metric)}


def _pictures(renders: Path, width: int) -> dict[str, str]:
    """First input view, its rendering and, if known, its truth, as data URIs."""
    first = min(renders.glob("input_*.png"), key=lambda path: natural_key(path.name))
    given, *truth, rendering, _, _ = split_row(read_picture(first).rgb, width)
    shown = {"input": given, "rendering": rendering}
    if truth:
        shown["truth"] = truth[0]
    return {kind: thumbnail(image, THUMBNAIL_SIDE) for kind, image in shown.items()}
