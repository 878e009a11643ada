"""The surface of a field and its colours."""

from __future__ import annotations

import numpy as np

from jaxvsnerf.geometry.cameras import HALF_EXTENT, camera_centers, take
from jaxvsnerf.mesh.bake import PaintFn
from jaxvsnerf.mesh.extract import Extraction, Mesh, extract_mesh
from jaxvsnerf.mesh.lattice import sample_density
from jaxvsnerf.mesh.project import paint_from_pictures
from jaxvsnerf.rendering.composite import alpha_weights
from jaxvsnerf.rendering.trained import TrainedField

# Pictures that a texture is made from, at most; more of them show the same again.
MAX_PICTURES = 32


# Where light that meets the surface head on is looked for, in sides of the cube: from before it
# to behind it, in so many intervals.
_BEFORE, _BEHIND, _INTERVALS = 0.02, 0.08, 6


def field_mesh(
    field: TrainedField, level: float, resolution: int, max_faces: int | None = None
) -> Extraction:
    """Marching cubes of the density.

    Args:
      field: the field.
      level: density of the surface, 0 to find it.
      resolution: lattice points a side.
      max_faces: most faces, None for all that marching cubes makes.

    Returns:
      The mesh, in the object's cube, without colours.

    Raises:
      ValueError: no surface at the level asked for; says which would give one.
    """
    occupied = None
    if field.grid is not None:
        occupied = _occupied(np.asarray(field.grid.support), resolution)
    density = sample_density(
        lambda points: field.query(points)[0],
        resolution,
        half_extent=HALF_EXTENT,
        occupied=occupied,
    )
    return extract_mesh(
        density,
        half_extent=HALF_EXTENT,
        level=level or "auto",
        max_faces=max_faces,
        viewpoints=camera_centers(field.cameras),
    )


def head_on_colors(field: TrainedField, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """What is seen on looking at a surface against its normals.

    Args:
      field: the field.
      points: [N, 3] on its surface, in the cube.
      normals: [N, 3] unit length, outward.

    Returns:
      [N, 3] rgb, composited along a short ray through each point.
    """
    edges = np.linspace(-_BEFORE, _BEHIND, _INTERVALS + 1, dtype=np.float32)
    depths = 0.5 * (edges[1:] + edges[:-1])
    along = points[:, None] - depths[:, None] * normals[:, None]
    directions = np.repeat(-normals, _INTERVALS, axis=0)
    density, rgb = field.query(along.reshape(-1, 3), directions)
    weights = np.asarray(alpha_weights(density.reshape(-1, _INTERVALS) * np.diff(edges)))
    weights = weights[..., None] + 1e-6  # nothing is met at all: the mean of what is there
    return (weights * rgb.reshape(-1, _INTERVALS, 3)).sum(1) / weights.sum(1)


def field_paint(field: TrainedField, mesh: Mesh) -> PaintFn:
    """The colours of the field on a surface: of its pictures, from the input views' cameras.

    Args:
      field: the field.
      mesh: its surface, in the cube.

    Returns:
      A function of points on the mesh, see `paint_from_pictures`. Where no camera looks, the
      field is asked along the surface's normals.
    """
    count = len(field.cameras.w2c)
    views = np.arange(count)
    if count > MAX_PICTURES:
        views = np.linspace(0, count - 1, MAX_PICTURES).round().astype(int)
    cameras = take(field.cameras, views)
    picture = field.render(cameras)
    mesh = mesh._replace(colors=head_on_colors(field, mesh.vertices, mesh.normals))
    return paint_from_pictures(mesh, picture.rgb, picture.acc, cameras, field.background)


def _occupied(support: np.ndarray, resolution: int) -> np.ndarray:
    """[resolution] * 3 bool, the lattice points that lie in the support [G, G, G]."""
    # Of the cube's G cells a side; its last point lies on the border.
    cells = np.linspace(0, len(support), resolution).astype(int).clip(max=len(support) - 1)
    return support[np.ix_(cells, cells, cells)]
