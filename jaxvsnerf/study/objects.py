"""Finding the objects of a study in folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jaxvsnerf.data.images import SUFFIXES, natural_key
from jaxvsnerf.errors import InputError, MissingFile

# What an error says of the layouts, and what `find_objects` looks for.
LAYOUTS = (
    "a picture (a strip of views side by side), or a sub-folder with transforms.json, "
    "strip.png (.jpg, .webp), pictures in inputs/ or images/, or truth pictures alone in gt/ "
    "or truth/"
)
_TRANSFORMS = ("transforms.json", "transforms_train.json")


@dataclass(frozen=True)
class StudyObject:
    """One object: where its pictures are.

    Attributes:
      name: of the picture or the sub-folder; unique in a study.
      kind: `strip`, `folder` or `transforms`, see DataSpec.
      path: absolute path of the input pictures.
      truth: absolute path of the truth pictures, '' where DataSpec finds them or there are none.
      mesh: absolute path of the true geometry, '' where there is none.
    """

    name: str
    kind: str
    path: str
    truth: str = ""
    mesh: str = ""

    @property
    def data(self) -> dict[str, str]:
        """The fields of a config's data section that this object sets."""
        return {key: value for key, value in asdict(self).items() if key != "name"}

    @property
    def inputs(self) -> str:
        """`truth` where the truth pictures are the inputs too, else `given`."""
        return "truth" if self.path == self.truth else "given"


def find_objects(folders: Sequence[str | Path]) -> tuple[list[StudyObject], list[Path]]:
    """The objects of folders: each sub-folder or picture lying in one is an object.

    In a sub-folder the first of these is taken: transforms.json (or transforms_train.json;
    its pictures may lie in images/), strip.png (or .jpg, .jpeg, .webp), inputs/, images/.
    Truth is gt/ or truth/, or gt.png or truth.png as a strip; where it stands alone it is
    the input too. mesh.obj is true geometry. Hidden files are passed over.

    Args:
      folders: at least one existing folder.

    Returns:
      The objects, folder by folder, by name in natural order; and the sub-folders that
      hold none.

    Raises:
      FileNotFoundError: no such folder; ValueError: no object, or two of one name.
    """
    objects: list[StudyObject] = []
    others: list[Path] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise MissingFile(f"no folder at {folder}; expected one that holds {LAYOUTS}")
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
        if other := first.get(one.name):
            raise InputError(
                f"expected objects of different names, got two called {one.name!r}: {other.path} "
                f"and {one.path}"
            )
        first[one.name] = one
    return objects, others


def _visible(folder: Path) -> list[Path]:
    """What lies in a folder and is not hidden, in natural order, as absolute paths."""
    paths = [path for path in folder.resolve().iterdir() if not path.name.startswith(".")]
    return sorted(paths, key=lambda path: natural_key(path.name))


def _from_picture(path: Path) -> StudyObject | None:
    if path.suffix.lower() not in SUFFIXES:
        return None
    return StudyObject(path.stem, "strip", str(path))


def _from_folder(folder: Path) -> StudyObject | None:
    """The object of a sub-folder, None where its layout is not known."""
    path = _inputs(folder)
    # The files beside transforms.json say themselves which pictures are truth.
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
    """The input pictures, in the form that DataSpec.path has."""
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
