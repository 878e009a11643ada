"""A density on a lattice to one closed, coloured surface."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from jaxvsnerf.extras import require
from jaxvsnerf.outputs.lattice import CHUNK, in_chunks, lattice_spacing
from jaxvsnerf.outputs.level import auto_level

# Standard deviation of the smoothing, in cells: a wall one cell thick just survives it.
SMOOTH_CELLS = 0.75

ColorFn = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Mesh(NamedTuple):
    """A triangle mesh with a colour per vertex.

    Attributes:
      vertices: [N, 3] float32, world frame (z up).
      faces: [M, 3] int32, counter-clockwise seen from outside.
      normals: [N, 3] float32, unit length, outward.
      colors: [N, 3] float32 in [0, 1], sRGB as in pictures.
      level: the density at which the surface was drawn.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    level: float


def extract_mesh(
    density: np.ndarray,
    color_fn: ColorFn,
    *,
    half_extent: float,
    level: float | str = "auto",
    occupied: np.ndarray | None = None,
    chunk: int = CHUNK,
) -> Mesh:
    """Marching cubes, the largest part kept, coloured by a callable.

    Beyond the cube the density counts as 0, so a body that reaches the border is closed
    there by a cap that lies up to one cell outside.

    Args:
      density: [G, G, G] values at `mesh_points(G, half_extent)`, indexed x, y, z.
      color_fn: ([chunk, 3] vertices, [chunk, 3] outward normals) -> [chunk, 3] rgb in
        [0, 1]; always called with the same shapes.
      half_extent: half the side of the cube.
      level: density of the surface, or "auto" (`level.auto_level`).
      occupied: [G, G, G] bool; where False the density counts as 0. None keeps all.
      chunk: vertices per call of `color_fn`.

    Returns:
      The mesh in world coordinates.

    Raises:
      ValueError: shapes, a density that is not finite, a level that is no positive
        number, or one that gives no surface; then the message says which would.
      ImportError: scikit-image or trimesh is missing.
    """
    density = _checked(density, occupied)
    spacing = lattice_spacing(len(density), half_extent)
    level = _checked_level(density, level)
    vertices, faces = _march(density, level)
    # One point of padding: index 1 is the lattice's first point.
    vertices = ((vertices - 1.0) * spacing - half_extent).astype(np.float32)
    vertices, faces = largest_component(vertices, faces)
    normals = _vertex_normals(vertices, faces)
    colors = np.clip(in_chunks(color_fn, (vertices, normals), chunk, (3,)), 0.0, 1.0)
    return Mesh(vertices, faces, normals, colors, level)


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
        raise ValueError(
            f"no surface at any level: the density ranges from {lowest:.4g} to {highest:.4g}, "
            "nothing was reconstructed inside the cube"
        )
    if level == "auto":
        return auto_level(density)
    if isinstance(level, str) or not np.isfinite(level) or not level > 0:
        raise ValueError(f"level must be 'auto' or a positive number, got {level!r}")
    if level >= highest:
        raise ValueError(
            f"no surface at level {level:.4g}: the density ranges from {lowest:.4g} to "
            f"{highest:.4g}; level={auto_level(density):.4g} gives one, or level='auto'"
        )
    return float(level)


def _march(density: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices in index units of the padded lattice, and faces.

    Choice: drawn in the opacity 1 - 2^(-density / level), where the level is one half,
    and not in the density itself: a body far denser than the level would otherwise reach
    nearly to its first empty neighbour, most of a cell too far. Opacity jumps within a
    cell, which draws terraces; smoothed over SMOOTH_CELLS the surface lies between cells.
    """
    measure = require("skimage.measure")
    opacity = -np.expm1(-np.float32(np.log(2.0) / level) * np.maximum(density, 0.0))
    opacity = gaussian_filter(np.pad(opacity, 1), SMOOTH_CELLS)
    if opacity.max() <= 0.5:
        raise ValueError(
            f"no surface at level {level:.4g}: what is denser is thinner than a lattice cell; "
            "take a lower level or a finer lattice"
        )
    vertices, faces, _, _ = measure.marching_cubes(opacity, 0.5)
    return vertices, faces


def largest_component(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The connected part that encloses most volume, its vertices renumbered.

    Choice: by volume and not by area or faces, so that a ragged haze does not beat the
    body; the walls of a body's inner hollows are parts of their own and go as well. The
    part kept is therefore an outer wall: it is turned so that its volume is positive.

    Args:
      vertices: [N, 3].
      faces: [M, 3].

    Returns:
      Vertices [N', 3] and faces [M', 3] int32, counter-clockwise seen from outside.
    """
    graph = require("trimesh").graph
    edges = np.concatenate([faces[:, :2], faces[:, 1:]])
    labels = graph.connected_component_labels(edges, node_count=len(vertices))
    face_labels = labels[faces[:, 0]]
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    volumes = np.bincount(face_labels, np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0)
    largest = np.abs(volumes).argmax()
    kept = faces[face_labels == largest]
    kept = kept if volumes[largest] > 0 else kept[:, ::-1]
    used, renumbered = np.unique(kept, return_inverse=True)
    return vertices[used], renumbered.reshape(kept.shape).astype(np.int32)


def _vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[N, 3] unit normals, the faces' weighted by their angle at the vertex."""
    trimesh = require("trimesh")
    normals = np.array(trimesh.Trimesh(vertices, faces, process=False).vertex_normals, np.float32)
    lengths = np.linalg.norm(normals, axis=-1, keepdims=True)
    # A vertex of nothing but degenerate triangles has no normal; glTF wants unit length.
    return np.where(lengths > 0.5, normals / np.maximum(lengths, 0.5), np.float32([0, 0, 1]))
