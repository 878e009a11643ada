"""Extracts a closed surface from a density on a lattice, by marching cubes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from jaxvsnerf.errors import InputError
from jaxvsnerf.mesh.components import solid_parts
from jaxvsnerf.mesh.decimate import decimate
from jaxvsnerf.mesh.hollows import hidden_hollows
from jaxvsnerf.mesh.lattice import lattice_spacing
from jaxvsnerf.mesh.level import auto_level
from jaxvsnerf.system.extras import require

# Standard deviation of the smoothing, in cells: a wall one cell thick just survives.
SMOOTH_CELLS = 0.75
# Empty points padded around the density: the reach of the smoothing.
_ROOM = 4


class Mesh(NamedTuple):
    """A triangle mesh with vertex colours, a texture, both or neither.

    Attributes:
      vertices: [N, 3] float32, world frame (z up).
      faces: [M, 3] int32, counter-clockwise seen from outside.
      normals: [N, 3] float32, unit length, outward.
      colors: [N, 3] float32 in [0, 1], sRGB as in pictures, or None.
      uv: [N, 2] float32 texture coordinates, (0, 0) at the upper left corner, or None.
      texture: [S, S, 3] float32 in [0, 1], sRGB, or None.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colors: np.ndarray | None = None
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None


class Extraction(NamedTuple):
    """Result of `extract_mesh`.

    Attributes:
      mesh: closed, without colours, of one or more components, see `solid_parts`.
      level: density of the surface.
      floaters: number of floaters that were dropped.
      hollow: volume of the hollows that were filled, see `hidden_hollows`.
      holes: number of holes that decimation tore and that were filled again.
    """

    mesh: Mesh
    level: float
    floaters: int
    hollow: float
    holes: int


def extract_mesh(
    density: np.ndarray,
    *,
    half_extent: float,
    level: float | str = "auto",
    signed: bool = False,
    occupied: np.ndarray | None = None,
    max_faces: int | None = None,
    viewpoints: np.ndarray | None = None,
) -> Extraction:
    """Runs marching cubes, drops floaters, fills hidden hollows and decimates.

    The density counts as 0 outside the cube, so a body that reaches the border is closed
    by a cap up to one cell outside the cube.

    Args:
      density: [G, G, G] values at `mesh_points(G, half_extent)`, indexed x, y, z.
      signed: whether the values are signed distances from the surface, positive inside; the
        surface is then at 0, whatever `level` says.
      half_extent: half the side of the cube, positive.
      level: density of the surface, positive, or "auto" (`level.auto_level`).
      occupied: [G, G, G] bool; where False the density counts as 0. None keeps all.
      max_faces: largest number of faces, see `decimate`; None keeps all.
      viewpoints: [V, 3] camera centres; hollows that no camera looks into are filled. None
        fills no hollow that has an opening.

    Returns:
      The mesh in world coordinates, and how it was made.

    Raises:
      ValueError: wrong shapes, or a density that is not finite.
      InputError: a level that is no positive number or gives no surface (the message names one
        that does), or `max_faces` is too small to close the surface.
      MissingExtra: scikit-image, trimesh or fast-simplification is missing.
    """
    density = _checked(density, occupied)
    spacing = lattice_spacing(len(density), half_extent)
    if signed:
        density, level = _share_inside(density, spacing), 0.5
    level = _checked_level(density, level)
    density, corner = _filled_block(density)
    corner = corner * spacing - half_extent
    hollow = np.zeros(density.shape, bool)
    if viewpoints is not None:
        hollow = hidden_hollows(density > level, corner, spacing, viewpoints)
    solid = np.where(hollow, density.max(), density)
    vertices, faces = _march(np.pad(solid, _ROOM) if signed else _opacity(solid, level))
    vertices = (vertices * spacing + corner).astype(np.float32)
    vertices, faces, floaters = solid_parts(vertices, faces)
    holes = 0
    if max_faces is not None:
        vertices, faces, holes = decimate(vertices, faces, max_faces)
    mesh = Mesh(vertices, faces, vertex_normals(vertices, faces))
    return Extraction(
        mesh, 0.0 if signed else level, floaters, float(hollow.sum() * spacing**3), holes
    )


def _checked(density: np.ndarray, occupied: np.ndarray | None) -> np.ndarray:
    density = np.asarray(density, np.float32)
    if density.ndim != 3 or len(set(density.shape)) != 1:
        raise ValueError(f"expected a density [G, G, G], got {density.shape}")
    if not np.isfinite(density).all():
        raise ValueError(f"{int((~np.isfinite(density)).sum())} densities are NaN or infinite")
    if occupied is None:
        return density
    if np.shape(occupied) != density.shape:
        raise ValueError(f"occupied must be {density.shape}, got {np.shape(occupied)}")
    return np.where(occupied, density, np.float32(0))


def _checked_level(density: np.ndarray, level: float | str) -> float:
    """Resolves "auto" and checks that some lattice point exceeds the level."""
    lowest, highest = float(density.min()), float(density.max())
    if highest <= 0:
        raise InputError(
            f"no surface at any level: the density ranges from {lowest:.4g} to {highest:.4g}; "
            "nothing was reconstructed inside the cube"
        )
    if level == "auto":
        return auto_level(density)
    if isinstance(level, str) or not np.isfinite(level) or not level > 0:
        raise InputError(f"level must be 'auto' or a positive number, got {level!r}")
    if level >= highest:
        raise InputError(
            f"no surface at level {level:.4g}: the density ranges from {lowest:.4g} to "
            f"{highest:.4g}; level={auto_level(density):.4g} gives a surface, or level='auto'"
        )
    return float(level)


def _filled_block(density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Crops a lattice to its nonzero values; returns the block and the indices [3] of its start.

    The indices are even, so that the block has the same every-second-point lattice as the whole.
    """
    ends = []
    for axis in range(3):
        filled = np.flatnonzero(density.any(tuple({0, 1, 2} - {axis})))
        ends.append((filled[0] // 2 * 2, filled[-1] + 1))
    return density[tuple(slice(*end) for end in ends)], np.array([first for first, _ in ends])


def _opacity(density: np.ndarray, level: float) -> np.ndarray:
    """The smoothed opacity of a density, in place of which marching cubes reads it.

    Choice: the surface is at 1/2 of the opacity 1 - 2^(-density / level), not at `level` of the
    density: a body far denser than the level would otherwise extend nearly to its first empty
    neighbour, most of a cell too far. Opacity jumps within a cell, which causes terraces;
    smoothing by SMOOTH_CELLS places the surface between cells.

    Returns:
      The lattice with _ROOM more points on each side.
    """
    opacity = -np.expm1(-np.float32(np.log(2.0) / level) * np.maximum(density, 0.0))
    opacity = gaussian_filter(np.pad(opacity, _ROOM), SMOOTH_CELLS)
    if opacity.max() <= 0.5:
        raise InputError(
            f"no surface at level {level:.4g}: denser parts are thinner than a lattice cell; "
            "take a lower level or a finer lattice"
        )
    return opacity


def _share_inside(distance: np.ndarray, spacing: float) -> np.ndarray:
    """A share of 0 to 1 that is 1/2 at the surface, of signed distances, positive inside.

    Linear within two cells of the surface, which marching cubes then finds exactly.
    """
    if distance.max() <= 0:
        raise InputError(
            f"no surface: the signed distance is nowhere inside (largest {distance.max():.4g}); "
            "nothing was reconstructed inside the cube"
        )
    return np.clip(0.5 + distance / (4.0 * spacing), 0.0, 1.0)


def _march(opacity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Marching cubes at 1/2; returns vertices in index units without _ROOM points, and faces."""
    measure = require("skimage.measure")
    vertices, faces, _, _ = measure.marching_cubes(opacity, 0.5)
    return vertices - _ROOM, faces


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[N, 3] unit vertex normals: face normals weighted by the face's angle at the vertex."""
    trimesh = require("trimesh")
    normals = np.array(trimesh.Trimesh(vertices, faces, process=False).vertex_normals, np.float32)
    lengths = np.linalg.norm(normals, axis=-1, keepdims=True)
    # A vertex with only degenerate triangles has no normal; glTF requires unit length.
    return np.where(lengths > 0.5, normals / np.maximum(lengths, 0.5), np.float32([0, 0, 1]))
