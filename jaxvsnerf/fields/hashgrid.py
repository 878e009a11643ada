"""Instant-NGP's multi-resolution hash encoding, with a deterministic backward pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.system.settings import check_spec, setting
from jaxvsnerf.types import Array

PRIMES = np.array([1, 2654435761, 805459861], np.uint32)
CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], np.uint32)
INIT_SCALE = 1e-4


@dataclass(frozen=True)
class HashSpec:
    """Shape of the hash grid, for the encoding `hash`."""

    levels: int = setting(
        8,
        "Number of resolutions L, in geometric progression from base to finest.",
        at_least=1,
        at_most=32,
    )
    features: int = setting(2, "Features of an entry.", at_least=1, at_most=32)
    log2_size: int = setting(
        17,
        "A level has at most 2^log2_size entries; a level with fewer grid points is dense.",
        at_least=1,
        at_most=24,
    )
    base: int = setting(16, "Cells a side of the coarsest level.", at_least=1, at_most=65535)
    finest: int = setting(
        128, "Cells a side of the finest level, at least base.", at_least=1, at_most=65535
    )

    def __post_init__(self):
        check_spec(self, "field.hash_grid")
        if self.base > self.finest:
            raise InputError(
                f"field.hash_grid: expected base <= finest, got {self.base} and {self.finest}"
            )


def level_resolutions(spec: HashSpec) -> np.ndarray:
    """Cells per side [L] int64 of each level.

    Source: Instant-NGP (arXiv:2201.05989) equations 2 and 3.
    """
    steps = np.arange(spec.levels) / max(spec.levels - 1, 1)
    return np.floor(spec.base * (spec.finest / spec.base) ** steps + 1e-6).astype(np.int64)


def level_sizes(spec: HashSpec) -> np.ndarray:
    """Number of entries [L] int64 of each level."""
    return np.minimum((level_resolutions(spec) + 1) ** 3, 2**spec.log2_size)


def init_tables(key: Array, spec: HashSpec) -> Array:
    """Initial tables [sum of the level sizes, features] float32, uniform in +-1e-4."""
    shape = (int(level_sizes(spec).sum()), spec.features)
    return jax.random.uniform(key, shape, minval=-INIT_SCALE, maxval=INIT_SCALE)


def grid_corners(points: Array, spec: HashSpec) -> tuple[Array, Array]:
    """The eight entries around each point on every level, and their trilinear weights.

    Args:
      points: [..., 3] in [0, 1]; points outside are clipped to the border.
      spec: shape of the grid.

    Returns:
      Row indices of the tables [..., L, 8] int32, and weights [..., L, 8] that sum to 1.

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
    """Hash encoding of points: features interpolated on every level.

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
    """Gathers tables[rows]; the backward pass is the deterministic `scatter_rows`.

    Args:
      sizes: number of entries of each of the L levels.
      tables: [entries, features] float32.
      rows: [N, L, K] int32.

    Returns:
      [N, L, K, features].
    """
    return tables[rows]


def scatter_rows(sizes: tuple[int, ...], rows: Array, grads: Array) -> Array:
    """Sums the gradients of equal rows, with the same bits in any order of addition.

    A GPU adds the gradients of an entry in an order that changes from run to run. Gradients are
    therefore scaled and rounded to integers, whose sum does not depend on the order.

    Args:
      sizes: number of entries of each level.
      rows: [N, L, K] int32; the rows of level l are in the level's own range of entries.
      grads: [N, L, K, features] float32.

    Returns:
      [sum(sizes), features]; each addend is rounded by at most 2^-30 times the sum of its level's
      absolute gradients. All NaN if any gradient is not finite.
    """
    # No entry's sum exceeds the sum of all absolute gradients of its level. Scaled to less than
    # 2^30, the sum fits int32 including rounding. Scaling by a power of two is exact.
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
