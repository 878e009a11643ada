"""Reads the folder of a study: scores and time of its objects, and the origin of their views."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.gso.prepare import SIMULATED, read_mark
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.metrics.lpips import load_lpips
from jaxvsnerf.study.objects import StudyObject
from jaxvsnerf.system.paths import find_path

SCORES = ("psnr", "ssim", "lpips", "chamfer", "iou")
PICTURE_SCORES = SCORES[:3]
# Reconstruction alone, from the pictures to the trained model, compilation included. The mesh does
# not count, because `export_s` includes its scoring and runs beside the renderings.
RECONSTRUCTION = ("load_s", "train_s")
COLUMNS = (
    "name",
    "status",
    "inputs",
    "views",
    *SCORES,
    *(f"inputs_{score}" for score in PICTURE_SCORES),
    *RECONSTRUCTION,
)
NETWORKS = {"alex": "AlexNet", "squeeze": "SqueezeNet", "vgg": "VGG16"}

# Origins of input views.
AS_GIVEN, THE_TRUTH = "generated", "the truth itself"


@dataclass(frozen=True)
class Scored:
    """One finished object.

    Attributes:
      name: name of the object.
      origin: origin of its input views.
      views: number of input views.
      scores: SCORES of the model, and "minutes"; None if unknown.
      input_scores: PICTURE_SCORES of the input views themselves; None if unknown.
    """

    name: str
    origin: str
    views: int
    scores: dict[str, float | None]
    input_scores: dict[str, float | None]


@dataclass(frozen=True)
class Study:
    """Results of a study so far.

    Attributes:
      name: name of its folder.
      objects: the finished objects.
      failed: names of the failed objects.
      total: number of all objects.
      network: network of LPIPS, '' without LPIPS.
    """

    name: str
    objects: tuple[Scored, ...]
    failed: tuple[str, ...]
    total: int
    network: str


def read_study(folder: str | Path, objects: str | Path = "") -> Study:
    """Reads results.csv and study.json of a study's folder.

    Args:
      folder: folder of the study.
      objects: folder of the prepared objects if they were moved since the study; else ''.

    Raises:
      MissingFile: a file is missing.
      InputError: a file has another content than a study writes, or the origin of an object's
        views is unknown.
    """
    folder = Path(folder)
    settings, items = _read_settings(folder / "study.json")
    rows = read_results(folder / "results.csv")
    if strangers := sorted({row["name"] for row in rows} - items.keys()):
        raise InputError(
            f"{folder / 'results.csv'}: expected objects of {folder / 'study.json'}, got "
            f"{', '.join(strangers)}; give a folder as a study left it"
        )
    done = [row for row in rows if row["status"] == "ok"]
    return Study(
        name=folder.resolve().name,
        objects=tuple(_scored(row, items[row["name"]], objects) for row in done),
        failed=tuple(row["name"] for row in rows if row["status"] != "ok"),
        total=len(items),
        network=_network(settings["metrics"]["lpips"]),
    )


def read_results(path: Path) -> list[dict[str, Any]]:
    """Reads a study's results.csv, numbers as floats and empty cells as None.

    Raises:
      MissingFile: the file does not exist.
      InputError: the file is truncated, or no study wrote it.
    """
    text = _text(path)
    try:
        reader = csv.DictReader(text.splitlines(), strict=True)
        rows, columns = list(reader), reader.fieldnames or ()
    except csv.Error as error:
        raise InputError(f"{path}: expected a study's results as CSV, {error}") from error
    if missing := [name for name in COLUMNS if name not in columns]:
        raise InputError(
            f"{path}: expected the results.csv of a study, there is no column {missing[0]!r}; give "
            "the folder of a study"
        )
    if not text.endswith("\n") or any(None in row or None in row.values() for row in rows):
        raise InputError(f"{path} is truncated or damaged; the study's command writes it again")
    names = [row["name"] for row in rows]
    if len(set(names)) < len(names):
        raise InputError(f"{path}: expected every object once, got {sorted(names)}")
    return [_parsed(path, row) for row in rows]


def _text(path: Path) -> str:
    """Reads a file of a study."""
    if not path.is_file():
        raise MissingFile(f"expected the folder of a study, there is no {path}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected text, {error}") from error


def _parsed(path: Path, row: dict[str, str]) -> dict[str, Any]:
    """Converts the numbers in a row of strings to floats."""
    numbers = [name for name in COLUMNS if name not in ("name", "status", "inputs")]
    parsed: dict[str, Any] = dict(row)
    for name in numbers:
        try:
            parsed[name] = float(row[name]) if row[name] else None
        except ValueError:
            parsed[name] = math.nan
        if parsed[name] is not None and not math.isfinite(parsed[name]):
            raise InputError(
                f"{path}: {row['name']}: expected a number in column {name}, got {row[name]!r}"
            )
    if row["status"] not in ("ok", "failed"):
        raise InputError(
            f"{path}: {row['name']}: expected status ok or failed, got {row['status']!r}"
        )
    return parsed


def _read_settings(path: Path) -> tuple[dict[str, Any], dict[str, StudyObject]]:
    """Reads a study's config, and its objects by name."""
    text = _text(path)
    try:
        values = json.loads(text)
        items = {name: StudyObject(**item) for name, item in values["objects"].items()}
        if not isinstance(values["config"]["metrics"]["lpips"], str):
            raise InputError("config.metrics.lpips is no file name")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path}: expected the settings of a study, {type(error).__name__}: {error}"
        ) from error
    return values["config"], items


def _scored(row: dict[str, Any], item: StudyObject, objects: str | Path) -> Scored:
    seconds = [row[phase] for phase in RECONSTRUCTION]
    minutes = None if None in seconds else math.fsum(seconds) / 60.0
    return Scored(
        name=row["name"],
        origin=_origin(item, objects),
        views=int(row["views"] or 0),
        scores={**{score: row[score] for score in SCORES}, "minutes": minutes},
        input_scores={score: row[f"inputs_{score}"] for score in PICTURE_SCORES},
    )


def _origin(item: StudyObject, objects: str | Path) -> str:
    """Origin of an object's input views."""
    if item.inputs == "truth":
        return THE_TRUTH
    path = Path(item.path)
    home = path if item.kind == "transforms" else path.parent
    home = Path(objects) / item.name if objects else home
    if not home.is_dir():
        raise MissingFile(
            f"{item.name}: nobody can say whether its views are simulated, there is no {home}; "
            "name the folder of the prepared objects with --objects"
        )
    mark = read_mark(home)
    if mark is None or mark["views"] != SIMULATED:
        return AS_GIVEN
    return f"{SIMULATED} ({mark['severity']}, seed {mark['seed']})"


def _network(path: str) -> str:
    """Network of a file of LPIPS weights; the file's name if the file has been moved."""
    if not path:
        return ""
    try:
        network = load_lpips(find_path(path)).network
    except FileNotFoundError:
        return f"of {Path(path).name}"
    return NETWORKS.get(network, network)
