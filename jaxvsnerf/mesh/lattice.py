"""Point lattice for mesh extraction, and chunked evaluation of callables.

The outermost points lie on the cube's border: G points along an axis, G - 1 cells, unlike the
cell centres of `geometry.hull.grid_centers`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

CHUNK = 65536


def lattice_spacing(resolution: int, half_extent: float) -> float:
    """Distance between neighbouring lattice points.

    Args:
      resolution: G, points along an axis, at least 2.
      half_extent: half the side of the cube, positive.

    Raises:
      ValueError: G under 2, or half_extent not positive.
    """
    if resolution < 2 or not half_extent > 0:
        raise ValueError(
            f"a lattice needs at least 2 points a side and half_extent > 0, got "
            f"{resolution} and {half_extent}"
        )
    return 2.0 * half_extent / (resolution - 1)


def mesh_points(resolution: int, half_extent: float) -> np.ndarray:
    """Lattice points at which `extract_mesh` expects densities.

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
    """[N, 3] lattice points at flat indices [N]."""
    spacing = lattice_spacing(resolution, half_extent)
    xyz = np.stack(np.unravel_index(index, (resolution,) * 3), axis=-1)
    return (xyz * spacing - half_extent).astype(np.float32)


def sample_density(
    density_fn: Callable[[np.ndarray], np.ndarray],
    resolution: int,
    *,
    half_extent: float,
    occupied: np.ndarray | None = None,
    empty: float = 0.0,
    chunk: int = CHUNK,
) -> np.ndarray:
    """Samples a field's density on the lattice, chunk by chunk.

    Args:
      density_fn: [chunk, 3] float32 points -> [chunk] densities; always called with the
        same shape, so that the function compiles once.
      resolution: G, points along an axis, at least 2.
      half_extent: half the side of the cube, positive.
      occupied: [G, G, G] bool, lattice points to sample (a dilated density grid or visual
        hull); None samples all points.
      empty: the value at all other points.
      chunk: points per call.

    Returns:
      [G, G, G] float32.

    Raises:
      ValueError: `occupied` or a result of `density_fn` has a wrong shape, or see
        `lattice_spacing`.
    """
    lattice_spacing(resolution, half_extent)
    density = np.full(resolution**3, empty, np.float32)
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
    """Calls `function` on slices of constant length and concatenates the results.

    Args:
      function: arrays [chunk, ...] -> [chunk, *trailing].
      arrays: each [N, ...]; the last slice is padded by repeating its last row.
      chunk: length of every slice.
      trailing: shape of one result row.

    Returns:
      [N, *trailing] float32.

    Raises:
      ValueError: a result of `function` has a wrong shape.
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
    """Pads `rows` to `length` by repeating the last row."""
    missing = length - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows
