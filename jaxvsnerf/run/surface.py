"""The surface of a field and its colours."""

from __future__ import annotations

import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import HALF_EXTENT, camera_centers, fit_cameras, take
from jaxvsnerf.mesh.bake import PaintFn
from jaxvsnerf.mesh.extract import Extraction, Mesh, extract_mesh
from jaxvsnerf.mesh.lattice import sample_density
from jaxvsnerf.mesh.project import Pictures, paint_from_pictures
from jaxvsnerf.preprocess.photo_view import shrunk_size
from jaxvsnerf.rendering.composite import alpha_weights
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.run.pictures import PHOTO_SIDE
from jaxvsnerf.types import Cameras

# Largest number of pictures behind a texture, the photo included. More pictures add nothing new.
MAX_PICTURES = 32

# Head-on rays: they start this far before the surface and end this far behind (in sides of the
# cube), with this number of intervals.
_BEFORE, _BEHIND, _INTERVALS = 0.02, 0.08, 6


def field_mesh(
    field: TrainedField, level: float, resolution: int, max_faces: int | None = None
) -> Extraction:
    """Extracts the surface of a field by marching cubes.

    Args:
      field: the field.
      level: density at the surface; 0 chooses the level automatically. A field of signed
        distances has its surface at distance 0.
      resolution: lattice points a side.
      max_faces: largest number of faces; None keeps all faces of marching cubes.

    Returns:
      The mesh, in the object's cube, without colours.

    Raises:
      InputError: there is no surface at the level (the message suggests a level), or a level for
        a signed distance.
    """
    signed = field.level is not None
    if signed and level:
        raise InputError(
            f"level: the surface of a signed distance lies at distance 0; expected 0, got {level:g}"
        )
    occupied = None
    if field.grid is not None:
        occupied = _occupied(np.asarray(field.grid.support), resolution)
    values = sample_density(
        field.surface,
        resolution,
        half_extent=HALF_EXTENT,
        occupied=occupied,
        empty=field.outside,
    )
    made = extract_mesh(
        values,
        half_extent=HALF_EXTENT,
        level=level or "auto",
        signed=signed,
        max_faces=max_faces,
        viewpoints=camera_centers(field.cameras),
    )
    if not signed:
        return made
    # A distance has normals of its own, smoother than those of the triangles.
    normals = field.normals(made.mesh.vertices)
    return made._replace(mesh=made.mesh._replace(normals=normals))


def head_on_colors(field: TrainedField, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Colours of a surface seen against its normals.

    Args:
      field: the field.
      points: [N, 3] on the surface, in the cube.
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
    weights = weights[..., None] + 1e-6  # without any density: the mean of the samples
    return (weights * rgb.reshape(-1, _INTERVALS, 3)).sum(1) / weights.sum(1)


def field_paint(field: TrainedField, mesh: Mesh) -> PaintFn:
    """Colours of the field on a surface, from pictures at the cameras of the input views and photo.

    Args:
      field: the field.
      mesh: the field's surface, in the cube.

    Returns:
      A function of points on the mesh, see `paint_from_pictures`. Points that no camera sees get
      the field's colour along the surface's normal.
    """
    sets = texture_cameras(field.cameras, field.photo)
    rendered = [field.render(cameras) for cameras in sets]
    pictures = [Pictures(one.rgb, one.acc, own) for one, own in zip(rendered, sets, strict=True)]
    mesh = mesh._replace(colors=head_on_colors(field, mesh.vertices, mesh.normals))
    return paint_from_pictures(mesh, pictures, field.background)


def texture_cameras(cameras: Cameras, photo: Cameras | None) -> list[Cameras]:
    """Cameras of the pictures that a texture is made from: one set for each picture size.

    Args:
      cameras: cameras of the branches, see `TrainedField`.
      photo: the photo's camera, the last of `cameras`, with the photo's own picture size, or None.

    Returns:
      At most MAX_PICTURES cameras: the input views', evenly thinned, and the photo's, whose
      picture is as large as `renders/photo.png` shows it.
    """
    count = len(cameras.w2c) - (photo is not None)
    most = MAX_PICTURES - (photo is not None)
    views = np.arange(count)
    if count > most:
        views = np.linspace(0, count - 1, most).round().astype(int)
    if photo is None:
        return [take(cameras, views)]
    size = shrunk_size(photo.width, photo.height, PHOTO_SIDE)
    return [take(cameras, views), fit_cameras(photo, *size)]


def _occupied(support: np.ndarray, resolution: int) -> np.ndarray:
    """[resolution] * 3 bool, the lattice points that lie in the support [G, G, G]."""
    # The cube has G cells a side; the lattice's last point lies on the cube's border.
    cells = np.linspace(0, len(support), resolution).astype(int).clip(max=len(support) - 1)
    return support[np.ix_(cells, cells, cells)]
