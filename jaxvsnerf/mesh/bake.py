"""Colours of a surface's points to a texture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import distance_transform_edt

from jaxvsnerf.errors import InputError
from jaxvsnerf.mesh.extract import Mesh
from jaxvsnerf.mesh.raster import Fragments, rasterize
from jaxvsnerf.mesh.unwrap import unwrap

# (Fragments on the mesh's faces) -> [N, 3] rgb in [0, 1].
PaintFn = Callable[[Fragments], np.ndarray]
SMALLEST, LARGEST = 16, 8192


def check_texture_size(size: int) -> None:
    """Raises ValueError where a texture's side is neither 0 (none) nor in range."""
    if size and not SMALLEST <= size <= LARGEST:
        raise InputError(
            f"texture: expected 0 for vertex colours, or {SMALLEST} to {LARGEST} texels a side, "
            f"got {size}"
        )


def bake_texture(mesh: Mesh, paint: PaintFn, size: int) -> Mesh:
    """Unwraps a mesh and fills a texture with the colours of its points.

    Args:
      mesh: any; an older texture is replaced.
      paint: colours at points of the mesh as it is given; asked about every texel whose
        centre lies on the surface.
      size: side of the texture in texels.

    Returns:
      The mesh with its vertices doubled along the cuts, `uv`, and a `texture` whose texels
      beside the charts repeat the nearest one, so that no filter finds another colour.

    Raises:
      ImportError: xatlas is missing.
    """
    charts = unwrap(mesh.vertices, mesh.faces, size)
    texels = rasterize(charts.uv[charts.faces].astype(np.float64) * size, size, size)
    texture, known = np.zeros((size * size, 3), np.float32), np.zeros(size * size, bool)
    texture[texels.pixels] = paint(texels)
    known[texels.pixels] = True
    nearest = distance_transform_edt(
        ~known.reshape(size, size), return_distances=False, return_indices=True
    )
    texture = texture.reshape(size, size, 3)[tuple(nearest)]
    return mesh._replace(
        vertices=mesh.vertices[charts.source],
        faces=charts.faces,
        normals=mesh.normals[charts.source],
        colors=None if mesh.colors is None else mesh.colors[charts.source],
        uv=charts.uv,
        texture=texture,
    )


def paint_vertices(mesh: Mesh, paint: PaintFn) -> Mesh:
    """The mesh with the colours of its vertices in place of those it has.

    Args:
      mesh: every vertex is a corner of some face.
      paint: colours at points of the mesh.
    """
    used, corner = np.unique(mesh.faces, return_index=True)
    if len(used) != len(mesh.vertices):
        raise ValueError(f"{len(mesh.vertices) - len(used)} vertices belong to no face")
    at = Fragments(used, corner // 3, np.eye(3)[corner % 3])
    return mesh._replace(colors=paint(at))
