"""Reads the true geometry of an object from mesh files."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.system.extras import require
from jaxvsnerf.system.stand_ins import check_is_itself
from jaxvsnerf.types import Surface

SUFFIXES = (".obj", ".ply", ".glb", ".off", ".stl")
MEND = "export the mesh again"
LONGEST = 200  # most characters of a reader's words in a message
PLY_HEADER = re.compile(rb"^ply\s.*?^end_header\s", re.S | re.M)
PLY_COUNT = re.compile(rb"^element\s+(vertex|face)\s+(\d+)\s*$", re.M)
OFF_COUNTS = re.compile(rb"OFF\s+(?:#[^\n]*\s+)*(\d+)\s+(\d+)")


def read_surface(path: str | Path) -> Surface:
    """Reads the triangles of a mesh file, in the file's frame, without colours and textures.

    Raises:
      InputError: unknown file suffix, unreadable or cut file, no triangles, vertices that are not
        three finite numbers, or triangles that name absent vertices.
      OSError: the file cannot be opened.
      MissingExtra: trimesh is missing.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a mesh ({', '.join(SUFFIXES)}), got {path.suffix!r}")
    check_is_itself(path)
    trimesh = require("trimesh", "true geometry")
    data = path.read_bytes()
    if suffix == ".obj":
        _check_obj(data, path)
    try:
        with _quiet():
            mesh = trimesh.load(path, force="mesh", process=False, skip_materials=True)
            vertices, faces = (np.asarray(one) for one in (mesh.vertices, mesh.faces))
            surface = Surface(vertices.astype(np.float64), faces.astype(np.int64))
    except Exception as error:  # noqa: BLE001 - format readers raise any exception
        words = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]
        raise InputError(f"{path} cannot be read as a mesh ({words}); {MEND}") from error
    _check(surface, path)
    for kind, declared, found in zip(
        ("vertices", "faces"), _declared(data, suffix), map(len, surface), strict=True
    ):
        if found < declared:  # a polygon gives several triangles
            raise InputError(
                f"{path}: expected the {declared} {kind} that its head names, got {found}; {MEND}"
            )
    return surface


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the words of trimesh and NumPy about a damaged file away from the terminal."""
    logger = logging.getLogger("trimesh")  # the parent of all its loggers
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _check(surface: Surface, path: Path) -> None:
    """Refuses a surface without triangles, or with vertices that are absent or no places."""
    vertices, faces = surface
    shapes = vertices.ndim == faces.ndim == 2 and vertices.shape[1] == faces.shape[1] == 3
    if not shapes or not len(faces) or not np.isfinite(vertices).all():
        raise InputError(
            f"{path}: expected triangles between finite vertices of three numbers, got "
            f"{len(faces)} triangles between {len(vertices)} vertices; {MEND}"
        )
    absent = np.flatnonzero(((faces < 0) | (faces >= len(vertices))).any(axis=1))
    if len(absent):
        raise InputError(
            f"{path}: expected triangles between the {len(vertices)} vertices of the file, but "
            f"{len(absent)} of {len(faces)} triangles name vertices that are absent, the first "
            f"{faces[absent[0]].tolist()} (counted from 0); {MEND}"
        )


def _declared(data: bytes, suffix: str) -> tuple[int, int]:
    """How many vertices and faces the head of a file names, (0, 0) for a format without."""
    if suffix == ".ply" and (header := PLY_HEADER.match(data)):
        counts = {kind: int(count) for kind, count in PLY_COUNT.findall(header[0])}
        return counts.get(b"vertex", 0), counts.get(b"face", 0)
    if suffix == ".off" and (counts := OFF_COUNTS.search(data)):
        return int(counts[1]), int(counts[2])
    return 0, 0


def _check_obj(data: bytes, path: Path) -> None:
    """Refuses vertices and faces of an OBJ file that trimesh would skip or take for others.

    trimesh leaves out faces of fewer than three vertices, and takes vertex 0, which OBJ does not
    have, for the last one.
    """
    data = data.replace(b"\r\n", b"\n").replace(b"\\\n", b" ")  # a line may go on in the next
    count = len(re.findall(rb"^[ \t]*v[ \t]", data, re.M))
    seen = 0
    for number, line in enumerate(data.splitlines(), 1):
        kind, *values = line.split() or (b"",)
        if kind == b"v":
            seen += 1
            good = len(values) >= 3 and all(map(_is_finite, values[:3]))
        elif kind == b"f":
            good = len(values) >= 3 and all(_names_vertex(one, count, seen) for one in values)
        else:
            continue
        if not good:
            text = line[:LONGEST].decode(errors="replace")
            raise InputError(
                f"{path}, line {number}: expected `v` and three finite numbers, or `f` and three "
                f"or more of the {count} vertices, got {text!r}; {MEND}"
            )


def _is_finite(value: bytes) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except ValueError:
        return False


def _names_vertex(value: bytes, count: int, seen: int) -> bool:
    """Whether a corner, such as 3, 3/1/2 or -1 (the vertex before), names one of the vertices."""
    try:
        index = int(value.partition(b"/")[0])
    except ValueError:
        return False
    return 0 < index <= count or 0 < -index <= seen
