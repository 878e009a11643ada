"""The lattice of points a mesh is made from, and callables asked about it in chunks.

Its outermost points lie on the cube's border: G points along an axis, G - 1 cells. That
is unlike the cell centres of `geometry.hull.grid_centers`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

CHUNK = 65536


def lattice_spacing(resolution: int, half_extent: float) -> float:
    """Distance between neighbours on the lattice."""
    if resolution < 2 or not half_extent > 0:
        raise ValueError(
            f"a lattice needs at least 2 points a side and half_extent > 0, got "
            f"{resolution} and {half_extent}"
        )
    return 2.0 * half_extent / (resolution - 1)


def mesh_points(resolution: int, half_extent: float) -> np.ndarray:
    """The points at which `extract_mesh` expects densities.

    Args:
      resolution: G, points along an axis.
      half_extent: half the side of the cube around the origin.

    Returns:
      [G, G, G, 3] float32, indexed x, y, z, corners included.

    Raises:
      ValueError: G under 2, or half_extent not positive.
    """
    return _points_at(np.arange(resolution**3), resolution, half_extent).reshape(
        resolution, resolution, resolution, 3
    )


def _points_at(index: np.ndarray, resolution: int, half_extent: float) -> np.ndarray:
    """[N, 3] lattice points by flat index."""
    spacing = lattice_spacing(resolution, half_extent)
    xyz = np.stack(np.unravel_index(index, (resolution,) * 3), axis=-1)
    return (xyz * spacing - half_extent).astype(np.float32)


def sample_density(
    density_fn: Callable[[np.ndarray], np.ndarray],
    resolution: int,
    *,
    half_extent: float,
    occupied: np.ndarray | None = None,
    chunk: int = CHUNK,
) -> np.ndarray:
    """Asks a field for its density on the lattice, chunk by chunk.

    Args:
      density_fn: [chunk, 3] float32 points -> [chunk] densities; always called with the
        same shape, so that it is compiled once.
      resolution: G.
      half_extent: half the side of the cube.
      occupied: [G, G, G] bool, lattice points worth asking about (a dilated density grid
        or visual hull); the rest is 0. None asks about all.
      chunk: points per call.

    Returns:
      [G, G, G] float32.

    Raises:
      ValueError: `occupied` is of another shape, or `density_fn` returned one.
    """
    lattice_spacing(resolution, half_extent)
    density = np.zeros(resolution**3, np.float32)
    wanted = np.arange(resolution**3)
    if occupied is not None:
        if np.shape(occupied) != (resolution,) * 3:
            raise ValueError(
                f"occupied must be [{resolution}] * 3 like the lattice, got {np.shape(occupied)}"
            )
        wanted = np.flatnonzero(occupied)
    for start in range(0, len(wanted), chunk):
        index = wanted[start : start + chunk]
        points = _points_at(index, resolution, half_extent)
        density[index] = in_chunks(density_fn, (points,), chunk, ())
    return density.reshape((resolution,) * 3)


def in_chunks(
    function: Callable[..., np.ndarray],
    arrays: tuple[np.ndarray, ...],
    chunk: int,
    trailing: tuple[int, ...],
) -> np.ndarray:
    """Calls `function` on slices of constant length and joins what it returns.

    Args:
      function: arrays [chunk, ...] -> [chunk, *trailing].
      arrays: each [N, ...]; the last slice is filled up with its last row.
      chunk: length of every slice.
      trailing: shape of one answer.

    Returns:
      [N, *trailing] float32.

    Raises:
      ValueError: the function returned another shape.
    """
    total = len(arrays[0])
    answer = np.zeros((total, *trailing), np.float32)
    for start in range(0, total, chunk):
        count = min(chunk, total - start)
        slices = [_filled(array[start : start + count], chunk) for array in arrays]
        values = np.asarray(function(*slices))
        if values.shape != (chunk, *trailing):
            raise ValueError(f"the callable must return {(chunk, *trailing)}, got {values.shape}")
        answer[start : start + count] = values[:count]
    return answer


def _filled(rows: np.ndarray, length: int) -> np.ndarray:
    """`rows` with the last one repeated up to `length`."""
    missing = length - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows
