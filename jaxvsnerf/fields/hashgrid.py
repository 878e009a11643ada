"""Instant-NGP's multi-resolution hash grid, with a backward pass that is deterministic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.types import Array

PRIMES = np.array([1, 2654435761, 805459861], np.uint32)
CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], np.uint32)
INIT_SCALE = 1e-4


@dataclass(frozen=True)
class HashSpec:
    """Shape of the grid.

    Attributes:
      levels: L resolutions, geometric from base to finest; at least 1.
      features: of an entry; at least 1.
      log2_size: a level has at most 2^log2_size entries, 1 to 24; below that it is dense.
      base: cells a side of the coarsest level; at least 1.
      finest: cells a side of the finest; base or more.
    """

    levels: int = 8
    features: int = 2
    log2_size: int = 17
    base: int = 16
    finest: int = 128

    def __post_init__(self):
        if self.levels < 1 or self.features < 1 or not 1 <= self.base <= self.finest:
            raise InputError(
                "field.hash: expected levels and features of at least 1 and 1 <= base <= finest, "
                f"got {self.levels}, {self.features}, {self.base} and {self.finest}"
            )
        if not 1 <= self.log2_size <= 24:
            raise InputError(f"field.hash.log2_size: expected 1 to 24, got {self.log2_size}")


def level_resolutions(spec: HashSpec) -> np.ndarray:
    """[L] int64 cells a side. Source: Instant-NGP (arXiv:2201.05989) equations 2 and 3."""
    steps = np.arange(spec.levels) / max(spec.levels - 1, 1)
    return np.floor(spec.base * (spec.finest / spec.base) ** steps + 1e-6).astype(np.int64)


def level_sizes(spec: HashSpec) -> np.ndarray:
    """[L] int64 entries of each level."""
    return np.minimum((level_resolutions(spec) + 1) ** 3, 2**spec.log2_size)


def init_tables(key: Array, spec: HashSpec) -> Array:
    """[sum of the level sizes, features] float32, uniform within +-1e-4."""
    shape = (int(level_sizes(spec).sum()), spec.features)
    return jax.random.uniform(key, shape, minval=-INIT_SCALE, maxval=INIT_SCALE)


def grid_corners(points: Array, spec: HashSpec) -> tuple[Array, Array]:
    """The eight entries around a point on every level, and their trilinear weights.

    Args:
      points: [..., 3] in [0, 1]; what lies outside counts as the border.
      spec: shape of the grid.

    Returns:
      rows [..., L, 8] int32 of the tables, weights [..., L, 8] that sum to 1.

    Source: Instant-NGP (arXiv:2201.05989) equation 4.
    """
    resolutions, sizes = level_resolutions(spec), level_sizes(spec)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    dense = ((resolutions + 1) ** 3 <= sizes)[:, None]
    scaled = jnp.clip(points, 0.0, 1.0)[..., None, :] * resolutions[:, None].astype(np.float32)
    cell = jnp.minimum(jnp.floor(scaled), (resolutions[:, None] - 1).astype(np.float32))
    inside = scaled - cell
    corner = cell.astype(jnp.uint32)[..., None, :] + CORNERS
    strides = ((resolutions[:, None] + 1) ** np.arange(3)).astype(np.uint32)
    plain = jnp.sum(corner * strides[:, None], -1, dtype=jnp.uint32)
    mixed = corner * PRIMES
    mixed = mixed[..., 0] ^ mixed[..., 1] ^ mixed[..., 2]
    mixed = mixed % sizes[:, None].astype(np.uint32)
    rows = jnp.where(dense, plain, mixed).astype(jnp.int32) + starts[:, None]
    weights = jnp.prod(jnp.where(CORNERS > 0, inside[..., None, :], 1.0 - inside[..., None, :]), -1)
    return rows, weights


def hash_encode(tables: Array, points: Array, spec: HashSpec) -> Array:
    """Features of points, interpolated on every level.

    Args:
      tables: [entries, features] float32, see `init_tables`.
      points: [..., 3] in [0, 1].
      spec: shape of the grid.

    Returns:
      [..., L * features] float32; differentiable in tables and points.
    """
    rows, weights = grid_corners(points, spec)
    sizes = tuple(level_sizes(spec).tolist())
    entries = gather_rows(sizes, tables, rows.reshape(-1, *rows.shape[-2:]))
    values = jnp.sum(entries * weights.reshape(*entries.shape[:-1], 1), -2)
    return values.reshape(*points.shape[:-1], spec.levels * spec.features)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def gather_rows(sizes: tuple[int, ...], tables: Array, rows: Array) -> Array:
    """tables[rows]: [entries, features], [N, L, K] -> [N, L, K, features].

    Its backward pass is `scatter_rows`. `sizes` are the entries of each of the L levels.
    """
    return tables[rows]


def scatter_rows(sizes: tuple[int, ...], rows: Array, grads: Array) -> Array:
    """Sums of the gradients of equal rows, the same bits in any order of addition.

    A GPU adds what falls on one entry in an order that changes from run to run. Here it
    adds whole numbers, for which the order does not matter.

    Args:
      sizes: entries of each level.
      rows: [N, L, K] int32; level l's lie in its own part of the entries.
      grads: [N, L, K, features] float32.

    Returns:
      [sum(sizes), features]; each addend is rounded by at most 2^-30 of the sum of its
      level's absolute gradients. NaN where a gradient is not finite.
    """
    # No entry's sum can exceed that of all absolute gradients of its level: scaled to less
    # than 2^30 it fits int32, rounding included. Scaling by a power of two is exact.
    total = jnp.max(jnp.sum(jnp.abs(grads), (0, 2)), -1)
    finite = jnp.all(jnp.isfinite(total))
    exponent = 29.0 - jnp.floor(jnp.log2(jnp.where(total > 0, total, 1.0)))
    scale = jnp.exp2(jnp.clip(exponent, -120.0, 120.0))
    whole = jnp.round(grads * scale[:, None, None]).astype(jnp.int32)
    sums = jnp.zeros((sum(sizes), grads.shape[-1]), jnp.int32).at[rows].add(whole)
    back = jnp.concatenate(
        [jnp.broadcast_to(1.0 / s, n) for s, n in zip(scale, sizes, strict=True)]
    )
    return jnp.where(finite, sums.astype(jnp.float32) * back[:, None], jnp.nan)


gather_rows.defvjp(
    lambda sizes, tables, rows: (tables[rows], rows),
    lambda sizes, rows, grads: (scatter_rows(sizes, rows, grads), None),
)
