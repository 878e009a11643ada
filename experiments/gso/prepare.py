"""Makes a folder of objects for the paper's table; simulates missing input pictures.

    python -m experiments.gso.prepare --objects=FOLDER --out=DIR [--severity=medium --seed=0]

`python -m jaxvsnerf.study` reads DIR. An object with input pictures is copied without changes. For
an object with truth alone a strip is simulated, with the masks as alpha. DIR/<name>/prepared.json
records which. After an interruption the same command continues.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from jaxvsnerf.config.files import diff_plain
from jaxvsnerf.data.images import SUFFIXES
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.errors import InputError
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.run.workdir import locked, open_workdir
from jaxvsnerf.simulate.inconsistency import damage_views
from jaxvsnerf.simulate.severity import SEVERITIES
from jaxvsnerf.study.objects import StudyObject, find_objects
from jaxvsnerf.system import cli
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.paths import find_path
from jaxvsnerf.system.png import to_uint8, write_png
from jaxvsnerf.types import ViewSet

MARK = "prepared.json"
GIVEN, SIMULATED = "as given", "simulated"


def damage_seed(name: str, seed: int) -> int:
    """Seed of an object's damage; it differs by object, so a mean over objects averages chance."""
    return zlib.crc32(f"{seed}/{name}".encode())


def strip_picture(views: ViewSet) -> np.ndarray:
    """Joins views side by side, with their masks as alpha.

    Choice: a real strip has no alpha; its masks come from the white around the object. Simulated
    outlines fade over more pixels than real outlines, so masks from white would be 3 to 5 % too
    large. (On `chicken` masks of the real strip are 1 % too large, these are within 1 %.)

    Args:
      views: V views with masks, on their background.

    Returns:
      [H, V H, 4] float32 in [0, 1], straight alpha. Composited over the background, it gives the
      pictures to 1/255.

    Raises:
      InputError: the views are not square.
    """
    height, width = views.images.shape[1:3]
    if height != width:
        raise InputError(f"expected square truth pictures for a strip, got {width} x {height}")
    # The rounded alpha of the file, so that the colour compensates the rounding.
    alpha = (to_uint8(views.masks) / np.float32(255.0))[..., None]
    behind = np.asarray(views.background, np.float32) * (1.0 - alpha)
    color = np.clip((views.images - behind) / np.maximum(alpha, 1.0 / 255.0), 0.0, 1.0)
    return np.concatenate(list(np.concatenate([color, alpha], -1)), axis=1).astype(np.float32)


def simulate_strip(item: StudyObject, severity: str, seed: int) -> np.ndarray:
    """Simulates a generator's strip of an object, see `strip_picture`.

    Args:
      item: an object with truth pictures at SyncDreamer's 16 cameras as its inputs.
      severity: a name of SEVERITIES.
      seed: seed of all objects together, see `damage_seed`.

    Raises:
      ValueError, FileNotFoundError: the truth cannot be read.
    """
    truth = load_dataset(DataSpec(kind=item.kind, path=item.path)).inputs
    return strip_picture(damage_views(truth, severity, damage_seed(item.name, seed)))


def make_mark(item: StudyObject, severity: str, seed: int) -> dict[str, Any]:
    """Content of an object's prepared.json.

    Args:
      item: the object.
      severity: a name of SEVERITIES.
      seed: seed of all objects together.
    """
    if item.inputs == "given":
        return {"views": GIVEN, "source": item.path}
    # The numbers too, because an earlier fit had other numbers under the same name.
    damage = {"severity": severity, "seed": seed, "damage": asdict(SEVERITIES[severity])}
    return {"views": SIMULATED, **damage, "source": item.path}


def read_mark(home: Path) -> dict[str, Any] | None:
    """Reads prepared.json of an object's folder; None if missing.

    Raises:
      InputError: the file has another content.
    """
    path = home / MARK
    if not path.is_file():
        return None
    try:
        mark = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, {error}; make {home} again") from error
    known = isinstance(mark, dict) and mark.get("views") in (GIVEN, SIMULATED)
    if not known or mark["views"] == SIMULATED and not {"severity", "seed"} <= mark.keys():
        raise InputError(f"{path}: expected what this experiment writes, got {mark}")
    return mark


def prepare_object(item: StudyObject, out: Path, severity: str, seed: int) -> bool:
    """Makes the folder of an object, whole or not at all.

    Args:
      item: the object.
      out: existing folder of the prepared objects, locked by this process.
      severity: severity of the simulated damage.
      seed: seed of all objects together.

    Returns:
      Whether the folder was made; False if it exists with the same settings.

    Raises:
      ValueError, OSError: the folder exists with other settings, the object was already prepared
        before, or a file cannot be read or written.
    """
    home, mark = out / item.name, make_mark(item, severity, seed)
    if item.kind == "transforms":
        raise InputError(
            "expected pictures at SyncDreamer's cameras, got poses in a transforms.json; name its "
            "folder to the study itself"
        )
    source = Path(item.path).parent
    if (source / MARK).exists():
        raise InputError(f"{source} was prepared already; name the folder it was made from")
    if home.exists():
        _check_same(home, mark)
        return False
    # A hidden name, so that a study skips the leftovers of an interruption.
    partial = out / f".{item.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _fill(partial, item, severity, seed)
        write_text(partial / MARK, json.dumps(mark, indent=2) + "\n")
        partial.rename(home)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return True


def _check_same(home: Path, mark: dict[str, Any]) -> None:
    """Raises ValueError unless the existing object was made with these settings."""
    old = read_mark(home)
    if old is None:
        raise InputError(f"{home} is there, without {MARK}; take another --out or remove it")
    if changes := diff_plain(old, mark):
        changes = ", ".join(line.strip() for line in changes.splitlines())
        raise InputError(
            f"{home} was made with other settings (there -> now): {changes}; take another --out, "
            "or remove it"
        )


def _fill(folder: Path, item: StudyObject, severity: str, seed: int) -> None:
    """Copies the object's pictures and geometry, under the names that a study expects."""
    folder.mkdir()
    if item.inputs == "given":
        _copy(item.path, folder, "strip" if item.kind == "strip" else "inputs")
    else:
        write_png(folder / "strip.png", simulate_strip(item, severity, seed))
    if item.truth:
        _copy(item.truth, folder, "gt")
    if item.mesh:
        shutil.copyfile(item.mesh, folder / "mesh.obj")


def _copy(source: str, folder: Path, name: str) -> None:
    """Copies a picture under a given name, or the pictures of a folder."""
    path = Path(source)
    if path.is_file():
        shutil.copyfile(path, folder / f"{name}{path.suffix.lower()}")
        return
    (folder / name).mkdir()
    for picture in path.iterdir():
        if picture.suffix.lower() in SUFFIXES and not picture.name.startswith("."):
            shutil.copyfile(picture, folder / name / picture.name)


def prepare_all(
    objects: list[StudyObject], out: Path, severity: str, seed: int
) -> dict[str, bool | Exception]:
    """Prepares all objects in parallel.

    Args:
      objects: the objects.
      out: folder of the prepared objects.
      severity: severity of the simulated damage.
      seed: seed of all objects together.

    Returns:
      Object name -> whether the folder was made, or the error.
    """

    def prepared(item: StudyObject) -> bool | Exception:
        try:
            made = prepare_object(item, out, severity, seed)
        except (ValueError, OSError) as error:
            cli.say(f"{item.name}: failed: {' '.join(str(error).split())}")
            return error
        if made:
            cli.say(f"{item.name}: {make_mark(item, severity, seed)['views']}")
        return made

    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:  # warps and filters leave Python's lock
        return dict(zip((one.name for one in objects), pool.map(prepared, objects), strict=True))


def main() -> None:
    """Runs the command.

    Raises:
      InputError: --objects is missing.
    """
    folders = flags.DEFINE_list("objects", [], "Folders of objects, separated by commas.")
    out = flags.DEFINE_string("out", "", "Folder for the prepared objects.")
    severity = flags.DEFINE_enum("severity", "medium", list(SEVERITIES), "Of the damage.")
    seed = flags.DEFINE_integer("seed", 0, "Of the damage.", lower_bound=0)

    def command(_) -> int:
        if not folders.value:
            raise InputError("--objects: expected a folder of objects, got nothing")
        objects, others = find_objects([find_path(path) for path in folders.value])
        if others:
            cli.say(f"no object in: {', '.join(map(str, others))}")
        folder = open_workdir(out.value, "--out")
        with locked(folder, "--out"):
            results = prepare_all(objects, folder, severity.value, seed.value)
        failed = [name for name, result in results.items() if isinstance(result, Exception)]
        made = sum(result is True for result in results.values())
        cli.say(
            f"{made} made, {len(results) - made - len(failed)} there already, {len(failed)} "
            f"failed: {folder}"
        )
        return int(bool(failed))

    cli.run(command)


if __name__ == "__main__":
    main()
