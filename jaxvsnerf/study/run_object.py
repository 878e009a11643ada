"""One object of a study: its run, and the record that the run leaves."""

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
from jaxvsnerf.errors import Interrupted
from jaxvsnerf.metrics.scores import METRICS, Scores
from jaxvsnerf.page.embed import thumbnail
from jaxvsnerf.pictures.images import split_row
from jaxvsnerf.run.job import train_run
from jaxvsnerf.run.logs import logged
from jaxvsnerf.run.scene_file import load_scene
from jaxvsnerf.run.usage import load_usage
from jaxvsnerf.study.objects import StudyObject
from jaxvsnerf.study.results import Record
from jaxvsnerf.system import cli
from jaxvsnerf.system.files import write_text

RECORD = "record.json"
THUMBNAIL_SIDE = 128


def read_record(home: Path) -> Record | None:
    """The record of an object whose run ended, None where it has not.

    Args:
      home: the object's folder in the study.
    """
    path = home / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def run_object(
    config: ConfigDict,
    folder: Path,
    stop: Callable[[], bool],
    item: StudyObject,
    devices: Sequence[jax.Device],
) -> Record | None:
    """Takes one object through the whole pipeline.

    What the run has to say goes to <folder>/<name>/log.txt. Whatever it fails with becomes
    part of the record: other objects do not depend on this one.

    Args:
      config: of the study, whose data section the object overrides.
      folder: of the study.
      stop: whether to save and stop; what is trained already is finished first.
      item: the object.
      devices: local ones that share its training; the first does the rest.

    Returns:
      The record, written as <folder>/<name>/record.json too; None if stopped before the end.

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
    except Exception as error:  # noqa: BLE001 - a bug met by one object is not the others'
        with logged(home, _silent) as say:
            say(traceback.format_exc())
        record = failure(error)
    return keep_record(folder, item, record, time.perf_counter() - started)


def failure(error: Exception) -> Record:
    """The part of a record that says what an object failed with."""
    return {"status": "failed", "error": " ".join(cli.error_text(error).split())}


def keep_record(folder: Path, item: StudyObject, outcome: Record, seconds: float) -> Record:
    """Writes an object's record.

    Args:
      folder: of the study; it has a folder of the object's name.
      item: the object.
      outcome: what its run came to.
      seconds: what the run took in total.

    Returns:
      The whole record.

    Raises:
      OSError: it cannot be written.
    """
    known = {"name": item.name, "inputs": item.inputs, "mesh": item.mesh, "total": seconds}
    record = known | outcome
    write_text(folder / item.name / RECORD, json.dumps(record, indent=2) + "\n")
    return record


def _silent(line: str, **how: Any) -> None:
    """Shows nothing: a study shows a line for each object, whose run has its own log."""


def _results(home: Path, item: StudyObject) -> dict[str, Any]:
    """What a finished run says of itself."""
    cameras, _, _ = load_scene(home)
    file = home / "eval" / "metrics.json"
    metrics = json.loads(file.read_text()) if file.is_file() else {}
    file = home / "eval" / "geometry.json"
    geometry = json.loads(file.read_text()) if file.is_file() else {}
    # Truth pictures scored against themselves would say nothing.
    given = metrics.get("inputs") if item.inputs == "given" else None
    usage = load_usage(home)
    return {
        "views": len(list((home / "renders").glob("input_*.png"))),
        "memory": usage.memory.bytes if usage and usage.memory else None,
        "scores": {**_means(metrics), **geometry},
        "input_scores": _means(given or {}),
        "pictures": _pictures(home / "renders", cameras.width),
    }


def _means(scores: Scores) -> dict[str, float]:
    return {metric: scores[metric]["mean"] for metric in METRICS if scores.get(metric)}


def _pictures(renders: Path, width: int) -> dict[str, str]:
    """The first input view, its rendering and, where it is known, its truth as data URIs."""
    first = min(renders.glob("input_*.png"), key=lambda path: natural_key(path.name))
    given, *truth, rendering, _, _ = split_row(read_picture(first).rgb, width)
    shown = {"input": given, "rendering": rendering}
    if truth:
        shown["truth"] = truth[0]
    return {kind: thumbnail(image, THUMBNAIL_SIDE) for kind, image in shown.items()}
