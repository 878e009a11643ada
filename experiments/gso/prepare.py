"""Makes a folder of objects for the paper's table: truth that stands alone gets inputs.

    python -m experiments.gso.prepare --objects=FOLDER --out=DIR [--severity=medium --seed=0]

`python -m jaxvsnerf.study` reads DIR. An object with input pictures is copied as it is. For one
whose truth stands alone a strip is simulated, with the masks as its alpha. DIR/<name>/prepared.json
says which. Interrupted, the same command goes on.
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
    """The seed of an object's damage: of its own, so that a mean over objects averages chance."""
    return zlib.crc32(f"{seed}/{name}".encode())


def strip_picture(views: ViewSet) -> np.ndarray:
    """Views side by side, their masks as alpha.

    Choice: a real strip has no alpha, its masks come from the white around the object. The
    simulator's outlines fade over more pixels than a real strip's, so masks from its white would
    be 3 to 5 % too large (on `chicken`, where the real strip's are 1 % and these are within 1 %).

    Args:
      views: V views with masks, on their background.

    Returns:
      [H, V H, 4] float32 in [0, 1], straight alpha: laid over the background it gives the
      pictures again to 1/255.

    Raises:
      ValueError: views that are not square.
    """
    height, width = views.images.shape[1:3]
    if height != width:
        raise ValueError(f"expected square truth pictures for a strip, got {width} x {height}")
    # The alpha that the file will hold, so that its rounding is made up for by the colour.
    alpha = (to_uint8(views.masks) / np.float32(255.0))[..., None]
    behind = np.asarray(views.background, np.float32) * (1.0 - alpha)
    color = np.clip((views.images - behind) / np.maximum(alpha, 1.0 / 255.0), 0.0, 1.0)
    return np.concatenate(list(np.concatenate([color, alpha], -1)), axis=1).astype(np.float32)


def simulate_strip(item: StudyObject, severity: str, seed: int) -> np.ndarray:
    """The strip that a generator might have made of an object, see `strip_picture`.

    Args:
      item: whose input pictures are the truth, at SyncDreamer's 16 cameras.
      severity: a name of SEVERITIES.
      seed: of all objects together, see `damage_seed`.

    Raises:
      ValueError, FileNotFoundError: the truth cannot be read.
    """
    truth = load_dataset(DataSpec(kind=item.kind, path=item.path)).inputs
    return strip_picture(damage_views(truth, severity, damage_seed(item.name, seed)))


def make_mark(item: StudyObject, severity: str, seed: int) -> dict[str, Any]:
    """What prepared.json says of an object."""
    if item.inputs == "given":
        return {"views": GIVEN, "source": item.path}
    # The numbers too: a severity of this name was another one before it was fitted again.
    damage = {"severity": severity, "seed": seed, "damage": asdict(SEVERITIES[severity])}
    return {"views": SIMULATED, **damage, "source": item.path}


def read_mark(home: Path) -> dict[str, Any] | None:
    """What prepared.json in the folder of an object says, None where there is none.

    Raises:
      ValueError: something else is in it.
    """
    path = home / MARK
    if not path.is_file():
        return None
    try:
        mark = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON, {error}; make {home} again") from error
    known = isinstance(mark, dict) and mark.get("views") in (GIVEN, SIMULATED)
    if not known or mark["views"] == SIMULATED and not {"severity", "seed"} <= mark.keys():
        raise ValueError(f"{path}: expected what this experiment writes, got {mark}")
    return mark


def prepare_object(item: StudyObject, out: Path, severity: str, seed: int) -> bool:
    """Makes the folder of an object, whole or not at all.

    Args:
      item: the object.
      out: folder of the prepared objects, existing and held by this process.
      severity: of the simulated damage.
      seed: of all objects together.

    Returns:
      Whether it was made; False where it is there already, of the same settings.

    Raises:
      ValueError, OSError: it is there and of other settings, was prepared before, or cannot be
        read or written.
    """
    home, mark = out / item.name, make_mark(item, severity, seed)
    if item.kind == "transforms":
        raise ValueError(
            "expected pictures at SyncDreamer's cameras, got poses in a transforms.json; name its "
            "folder to the study itself"
        )
    source = Path(item.path).parent
    if (source / MARK).exists():
        raise ValueError(f"{source} was prepared already; name the folder it was made from")
    if home.exists():
        _check_same(home, mark)
        return False
    # Hidden, so that a study passes over what an interruption leaves.
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
    """Raises ValueError unless the object there was made with these settings."""
    old = read_mark(home)
    if old is None:
        raise ValueError(f"{home} is there, without {MARK}; take another --out or remove it")
    if changes := diff_plain(old, mark):
        changes = ", ".join(line.strip() for line in changes.splitlines())
        raise ValueError(
            f"{home} was made with other settings (there -> now): {changes}; take another --out, "
            "or remove it"
        )


def _fill(folder: Path, item: StudyObject, severity: str, seed: int) -> None:
    """The object's pictures and geometry, under the names that a study looks for."""
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
    """A picture, under a name of its own, or the pictures of a folder."""
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
    """Every object by name: whether it was made, or what stood in the way."""

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
    """The command."""
    folders = flags.DEFINE_list("objects", [], "Folders of objects, separated by commas.")
    out = flags.DEFINE_string("out", "", "Folder for the prepared objects.")
    severity = flags.DEFINE_enum("severity", "medium", list(SEVERITIES), "Of the damage.")
    seed = flags.DEFINE_integer("seed", 0, "Of the damage.", lower_bound=0)

    def command(_) -> int:
        if not folders.value:
            raise ValueError("--objects: expected a folder of objects, got nothing")
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
