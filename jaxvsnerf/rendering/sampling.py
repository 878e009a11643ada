"""Sampling as a tuple of levels; each says where to ask the field next."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from jaxvsnerf.rendering.composite import alpha_weights
from jaxvsnerf.rendering.grid import DensityGrid, lookup
from jaxvsnerf.rendering.intervals import blur_weights, importance_edges, uniform_edges
from jaxvsnerf.types import Array, Rays, Rendering

# Share of the importance level's probability that stays uniform (mip-NeRF's padding).
PADDING = 0.01


@dataclass(frozen=True)
class UniformLevel:
    """`num` intervals, uniform from near to far; `field` names the field it queries."""

    num: int
    field: str = "main"


@dataclass(frozen=True)
class ImportanceLevel:
    """`num` intervals drawn from the weights of the level before.

    Choice: widened and padded as in mip-NeRF, so that a thin surface stays inside.
    """

    num: int
    field: str = "main"


@dataclass(frozen=True)
class GridLevel:
    """`num` intervals drawn from the density grid.

    Attributes:
      num: S.
      num_probes: lookups per ray that locate the density; at least 1.
      exploration: share of the probability spread evenly over the support, 0 to 1.
      field: the field it queries.
    """

    num: int
    num_probes: int = 128
    exploration: float = 0.1
    field: str = "main"


Level = UniformLevel | ImportanceLevel | GridLevel


def probe_points(rays: Rays, num: int) -> tuple[Array, Array]:
    """Edges [..., num + 1] and points [..., num, 3] at uniform steps from near to far."""
    t_edges = uniform_edges(rays.near, rays.far, num, None)
    middles = 0.5 * (t_edges[..., 1:] + t_edges[..., :-1])
    points = rays.origins[..., None, :] + middles[..., None] * rays.directions[..., None, :]
    return t_edges, points


def _grid_edges(level: GridLevel, rays: Rays, grid: DensityGrid, keys: Array | None) -> Array:
    t_edges, points = probe_points(rays, level.num_probes)
    density = lookup(grid, grid.density, points)
    norm = jnp.linalg.norm(rays.directions, axis=-1, keepdims=True)
    weights = blur_weights(alpha_weights(density * jnp.diff(t_edges, axis=-1) * norm))
    exists = lookup(grid, grid.support, points)
    support = exists.astype(jnp.float32)

    def share(values: Array) -> Array:
        return values / jnp.maximum(jnp.sum(values, -1, keepdims=True), 1e-9)

    pdf = (1.0 - level.exploration) * share(weights) + level.exploration * share(support)
    drawn = importance_edges(t_edges, pdf, level.num, keys)
    # A ray that misses the support sees background: its intervals have no length.
    return jnp.where(jnp.any(exists, -1, keepdims=True), drawn, rays.far)


def meets_support(levels: tuple[Level, ...], rays: Rays, grid: DensityGrid | None) -> Array:
    """Whether rays [...] can see anything, [...] bool; a level without a grid sees everywhere."""
    if grid is None or not all(isinstance(level, GridLevel) for level in levels):
        return jnp.ones(rays.near.shape[:-1], bool)
    points = probe_points(rays, max(level.num_probes for level in levels))[1]
    return jnp.any(lookup(grid, grid.support, points), -1)


def level_edges(
    level: Level,
    rays: Rays,
    previous: Rendering | None,
    grid: DensityGrid | None,
    keys: Array | None,
) -> Array:
    """Where one level samples.

    Args:
      level: what to do.
      rays: [...] rays.
      previous: the level before, None at the first.
      grid: the density grid, for GridLevel.
      keys: [...] PRNG keys, one per ray, or None for the middles of the strata.

    Returns:
      [..., level.num + 1] increasing edges.

    Raises:
      ValueError: the level needs what is not there.
    """
    if isinstance(level, UniformLevel):
        return uniform_edges(rays.near, rays.far, level.num, keys)
    if isinstance(level, GridLevel):
        if grid is None:
            raise ValueError("GridLevel: expected a density grid, got None")
        return _grid_edges(level, rays, grid, keys)
    if previous is None:
        raise ValueError("ImportanceLevel: expected a level before it, it is the first")
    weights = blur_weights(previous.weights) + PADDING / previous.weights.shape[-1]
    return importance_edges(previous.t_edges, weights, level.num, keys)
