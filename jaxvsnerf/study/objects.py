"""Finds the objects of a study in folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jaxvsnerf.data.images import SUFFIXES, natural_key
from jaxvsnerf.errors import InputError, MissingFile

# Layouts that `find_objects` looks for, for error messages.
LAYOUTS = (
    "a picture (a strip of views side by side), or a sub-folder with transforms.json, "
    "strip.png (.jpg, .webp), pictures in inputs/ or images/, or truth pictures alone in gt/ "
    "or truth/"
)
# What a study writes beside the folders of its objects.
RESERVED = ("study.json", "results.csv", "index.html", ".lock")
_TRANSFORMS = ("transforms.json", "transforms_train.json")


@dataclass(frozen=True)
class StudyObject:
    """An object of a study, with the paths of its pictures.

    Attributes:
      name: name of the picture or the sub-folder; unique in a study.
      kind: `strip`, `folder` or `transforms`, see `DataSpec.kind`.
      path: absolute path of the input pictures.
      truth: absolute path of the truth pictures, '' if there are none or `path` includes them.
      mesh: absolute path of the true geometry, '' if there is none.
    """

    name: str
    kind: str
    path: str
    truth: str = ""
    mesh: str = ""

    @property
    def data(self) -> dict[str, str]:
        """Fields of the config's data section that this object overrides."""
        return {key: value for key, value in asdict(self).items() if key != "name"}

    @property
    def inputs(self) -> str:
        """`truth` if the truth pictures are also the inputs, else `given`."""
        return "truth" if self.path == self.truth else "given"


def find_objects(folders: Sequence[str | Path]) -> tuple[list[StudyObject], list[Path]]:
    """Finds objects in folders: each sub-folder and each picture of a folder is an object.

    The input of a sub-folder is the first of: transforms.json (or transforms_train.json; the
    pictures may lie in images/), strip.png (or .jpg, .jpeg, .webp), inputs/, images/.
    Truth is gt/ or truth/, or gt.png or truth.png as a strip; without an input, the truth is
    also the input. mesh.obj is the true geometry. Hidden files are skipped.

    Args:
      folders: at least one existing folder.

    Returns:
      The objects, folder by folder, by name in natural order; and the sub-folders without an
      object.

    Raises:
      MissingFile: no such folder.
      InputError: no object, two objects of the same name, or an object with the name of a file
        of the study.
    """
    objects: list[StudyObject] = []
    others: list[Path] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise MissingFile(f"no folder at {folder}; expected a folder that holds {LAYOUTS}")
        for path in _visible(folder):
            found = _from_folder(path) if path.is_dir() else _from_picture(path)
            if found:
                objects.append(found)
            elif path.is_dir():
                others.append(path)
    if not objects:
        raise InputError(f"no object in {', '.join(map(str, folders))}; expected {LAYOUTS}")
    first: dict[str, StudyObject] = {}
    for one in objects:
        # Some file systems do not tell upper from lower case.
        if one.name.lower() in RESERVED:
            raise InputError(
                f"expected objects of other names than the files that a study writes, "
                f"{', '.join(RESERVED)}, got one called {one.name!r}: {one.path}; rename it"
            )
        if other := first.get(one.name):
            raise InputError(
                f"expected objects of different names, got two called {one.name!r}: {other.path} "
                f"and {one.path}"
            )
        first[one.name] = one
    return objects, others


def _visible(folder: Path) -> list[Path]:
    """Absolute paths of a folder's entries that are not hidden, in natural order."""
    paths = [path for path in folder.resolve().iterdir() if not path.name.startswith(".")]
    return sorted(paths, key=lambda path: natural_key(path.name))


def _from_picture(path: Path) -> StudyObject | None:
    if path.suffix.lower() not in SUFFIXES:
        return None
    return StudyObject(path.stem, "strip", str(path))


def _from_folder(folder: Path) -> StudyObject | None:
    """Object of a sub-folder; None if the layout is unknown."""
    path = _inputs(folder)
    # The transforms files themselves say which pictures are truth.
    truth = None if path == folder else _truth(folder)
    path = path or truth
    if path is None:
        return None
    mesh = folder / "mesh.obj"
    return StudyObject(
        name=folder.name,
        kind="transforms" if path == folder else "folder" if path.is_dir() else "strip",
        path=str(path),
        truth=str(truth or ""),
        mesh=str(mesh) if mesh.is_file() else "",
    )


def _inputs(folder: Path) -> Path | None:
    """Path of the input pictures, as for `DataSpec.path`; None if there are none."""
    if any((folder / name).is_file() for name in _TRANSFORMS):
        return folder
    return _strip(folder, "strip") or _folder(folder, "inputs") or _folder(folder, "images")


def _truth(folder: Path) -> Path | None:
    names = ("gt", "truth")
    found = [_folder(folder, name) for name in names] + [_strip(folder, name) for name in names]
    return next(filter(None, found), None)


def _strip(folder: Path, stem: str) -> Path | None:
    paths = [folder / f"{stem}{suffix}" for suffix in SUFFIXES]
    return next((path for path in paths if path.is_file()), None)


def _folder(folder: Path, name: str) -> Path | None:
    return folder / name if (folder / name).is_dir() else None
