"""Bakes the colours of a surface into a texture or into vertex colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import distance_transform_edt

from jaxvsnerf.mesh.extract import Mesh
from jaxvsnerf.mesh.raster import Fragments, rasterize
from jaxvsnerf.mesh.unwrap import unwrap

# (Fragments on the mesh's faces) -> [N, 3] rgb in [0, 1].
PaintFn = Callable[[Fragments], np.ndarray]


def bake_texture(mesh: Mesh, paint: PaintFn, size: int) -> Mesh:
    """Unwraps a mesh into a UV atlas and bakes the surface's colours into a texture.

    Args:
      mesh: mesh to paint; an existing texture is replaced.
      paint: colours at points of `mesh`, called for all texels whose centre lies in a chart.
      size: side of the texture in texels.

    Returns:
      The mesh with vertices duplicated along the seams, `uv`, and `texture`. Texels outside the
      charts repeat the nearest chart texel, so that filtering does not bleed.

    Raises:
      MissingExtra: xatlas is missing.
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
    """Replaces the vertex colours of a mesh.

    Args:
      mesh: a mesh each of whose vertices belongs to a face.
      paint: colours at points of the mesh.

    Returns:
      The mesh with new `colors`.

    Raises:
      ValueError: a vertex belongs to no face.
    """
    used, corner = np.unique(mesh.faces, return_index=True)
    if len(used) != len(mesh.vertices):
        raise ValueError(f"{len(mesh.vertices) - len(used)} vertices belong to no face")
    at = Fragments(used, corner // 3, np.eye(3)[corner % 3])
    return mesh._replace(colors=paint(at))
