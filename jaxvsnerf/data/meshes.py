"""Reads the true geometry of an object from mesh files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.system.extras import require
from jaxvsnerf.types import Surface

SUFFIXES = (".obj", ".ply", ".glb", ".off", ".stl")


def read_surface(path: str | Path) -> Surface:
    """Reads the triangles of a mesh file, in the file's frame, without colours and textures.

    Raises:
      InputError: unknown file suffix, unreadable file, no triangles, or triangles that name
        absent vertices.
      MissingExtra: trimesh is missing.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected a mesh ({', '.join(SUFFIXES)}), got {path.suffix!r}")
    trimesh = require("trimesh", "true geometry")
    try:
        mesh = trimesh.load(path, force="mesh", process=False, skip_materials=True)
    except Exception as error:  # noqa: BLE001 - format readers raise any exception
        raise InputError(f"{path} cannot be read as a mesh: {error}") from error
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    if not len(faces) or not np.all(np.isfinite(vertices)):
        raise InputError(f"{path}: expected triangles between finite vertices, got {len(faces)}")
    absent = np.flatnonzero(((faces < 0) | (faces >= len(vertices))).any(axis=1))
    if len(absent):
        raise InputError(
            f"{path}: expected triangles between the {len(vertices)} vertices of the file, but "
            f"{len(absent)} of {len(faces)} triangles name vertices that are absent, the first "
            f"{faces[absent[0]].tolist()} (counted from 0); export the mesh again"
        )
    return Surface(vertices, faces)
