"""Writes a mesh as a binary .ply file with normals and vertex colours."""

from __future__ import annotations

from pathlib import Path

from jaxvsnerf.mesh.extract import Mesh
from jaxvsnerf.system.extras import require
from jaxvsnerf.system.files import write_bytes
from jaxvsnerf.system.png import to_uint8


def write_ply(path: str | Path, mesh: Mesh) -> None:
    """Writes a .ply file atomically: z up, 8-bit sRGB colours.

    Args:
      path: file to write.
      mesh: in world coordinates, z up, with vertex colours; PLY has no texture format that
        readers agree on.

    Raises:
      ValueError: no face, or no colours.
      MissingExtra: trimesh is missing.
    """
    if not len(mesh.faces) or mesh.colors is None:
        raise ValueError("expected a mesh with at least one face and vertex colours")
    trimesh = require("trimesh")
    written = trimesh.Trimesh(
        mesh.vertices,
        mesh.faces,
        vertex_normals=mesh.normals,
        vertex_colors=to_uint8(mesh.colors),
        process=False,
    )
    write_bytes(path, written.export(file_type="ply", vertex_normal=True))
