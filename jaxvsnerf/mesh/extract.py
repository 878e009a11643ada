"""A density on a lattice to a closed surface."""

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

# Standard deviation of the smoothing, in cells: a wall one cell thick just survives it.
SMOOTH_CELLS = 0.75
# Empty points around what is dense, as far as that smoothing reaches.
_ROOM = 4


class Mesh(NamedTuple):
    """A triangle mesh, with a colour per vertex or a texture or neither.

    Attributes:
      vertices: [N, 3] float32, world frame (z up).
      faces: [M, 3] int32, counter-clockwise seen from outside.
      normals: [N, 3] float32, unit length, outward.
      colors: [N, 3] float32 in [0, 1], sRGB as in pictures, or None.
      uv: [N, 2] float32 places in the texture, (0, 0) its upper left corner, or None.
      texture: [S, S, 3] float32 in [0, 1], sRGB, or None.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colors: np.ndarray | None = None
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None


class Extraction(NamedTuple):
    """What `extract_mesh` found.

    Attributes:
      mesh: closed, without colours; of one part or several, see `solid_parts`.
      level: the density at which it was drawn.
      floaters: bodies beside it that were left out.
      hollow: volume inside it that was filled, see `hidden_hollows`.
      holes: what fewer faces had torn and was closed again.
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
    occupied: np.ndarray | None = None,
    max_faces: int | None = None,
    viewpoints: np.ndarray | None = None,
) -> Extraction:
    """Marching cubes without floaters, with fewer faces where a budget says so.

    Beyond the cube the density counts as 0, so a body that reaches the border is closed
    there by a cap that lies up to one cell outside.

    Args:
      density: [G, G, G] values at `mesh_points(G, half_extent)`, indexed x, y, z.
      half_extent: half the side of the cube.
      level: density of the surface, or "auto" (`level.auto_level`).
      occupied: [G, G, G] bool; where False the density counts as 0. None keeps all.
      max_faces: most faces, see `decimate`; None keeps all.
      viewpoints: [V, 3] camera centres; hollows that none of them looks into are filled. None
        fills none that has an opening.

    Returns:
      The mesh in world coordinates and how it came about.

    Raises:
      ValueError: shapes, a density that is not finite, a level that is no positive
        number, or one that gives no surface; then the message says which would. Or
        `max_faces` cannot close the surface.
      ImportError: scikit-image, trimesh or fast-simplification is missing.
    """
    density = _checked(density, occupied)
    spacing = lattice_spacing(len(density), half_extent)
    level = _checked_level(density, level)
    density, corner = _filled_block(density)
    corner = corner * spacing - half_extent
    hollow = np.zeros(density.shape, bool)
    if viewpoints is not None:
        hollow = hidden_hollows(density > level, corner, spacing, viewpoints)
    vertices, faces = _march(np.where(hollow, density.max(), density), level)
    vertices = (vertices * spacing + corner).astype(np.float32)
    vertices, faces, floaters = solid_parts(vertices, faces)
    holes = 0
    if max_faces is not None:
        vertices, faces, holes = decimate(vertices, faces, max_faces)
    mesh = Mesh(vertices, faces, vertex_normals(vertices, faces))
    return Extraction(mesh, level, floaters, float(hollow.sum() * spacing**3), holes)


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
    """The level as a number that some lattice point exceeds."""
    lowest, highest = float(density.min()), float(density.max())
    if highest <= 0:
        raise InputError(
            f"no surface at any level: the density ranges from {lowest:.4g} to {highest:.4g}, "
            "nothing was reconstructed inside the cube"
        )
    if level == "auto":
        return auto_level(density)
    if isinstance(level, str) or not np.isfinite(level) or not level > 0:
        raise InputError(f"level must be 'auto' or a positive number, got {level!r}")
    if level >= highest:
        raise InputError(
            f"no surface at level {level:.4g}: the density ranges from {lowest:.4g} to "
            f"{highest:.4g}; level={auto_level(density):.4g} gives one, or level='auto'"
        )
    return float(level)


def _filled_block(density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The block of a lattice that holds all that is not 0, and the indices [3] of its first point.

    These are even, so that a lattice of every second point is the same in a block.
    """
    ends = []
    for axis in range(3):
        filled = np.flatnonzero(density.any(tuple({0, 1, 2} - {axis})))
        ends.append((filled[0] // 2 * 2, filled[-1] + 1))
    return density[tuple(slice(*end) for end in ends)], np.array([first for first, _ in ends])


def _march(density: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices in index units of the lattice, and faces.

    Choice: drawn in the opacity 1 - 2^(-density / level), where the level is one half,
    and not in the density itself: a body far denser than the level would otherwise reach
    nearly to its first empty neighbour, most of a cell too far. Opacity jumps within a
    cell, which draws terraces; smoothed over SMOOTH_CELLS the surface lies between cells.
    """
    measure = require("skimage.measure")
    opacity = -np.expm1(-np.float32(np.log(2.0) / level) * np.maximum(density, 0.0))
    opacity = gaussian_filter(np.pad(opacity, _ROOM), SMOOTH_CELLS)
    if opacity.max() <= 0.5:
        raise InputError(
            f"no surface at level {level:.4g}: what is denser is thinner than a lattice cell; "
            "take a lower level or a finer lattice"
        )
    vertices, faces, _, _ = measure.marching_cubes(opacity, 0.5)
    return vertices - _ROOM, faces


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[N, 3] unit normals, the faces' weighted by their angle at the vertex."""
    trimesh = require("trimesh")
    normals = np.array(trimesh.Trimesh(vertices, faces, process=False).vertex_normals, np.float32)
    lengths = np.linalg.norm(normals, axis=-1, keepdims=True)
    # A vertex of nothing but degenerate triangles has no normal; glTF wants unit length.
    return np.where(lengths > 0.5, normals / np.maximum(lengths, 0.5), np.float32([0, 0, 1]))
