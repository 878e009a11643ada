"""Sampling along rays, as a tuple of levels; each level places the next field queries."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from jaxvsnerf.rendering.composite import alpha_weights
from jaxvsnerf.rendering.grid import DensityGrid, lookup
from jaxvsnerf.rendering.intervals import (
    Intervals,
    blur_weights,
    importance_edges,
    middles_of,
    uniform_edges,
    whole_intervals,
)
from jaxvsnerf.rendering.support import edges_at_borders, intervals_in_support, ray_points
from jaxvsnerf.system.settings import argument, check_spec, setting
from jaxvsnerf.types import Array, Rays, Rendering

# Share of the importance level's probability that stays uniform (mip-NeRF's padding).
PADDING = 0.01


MOST_INTERVALS = 4096
KINDS = ("grid", "hierarchical")


@dataclass(frozen=True)
class SamplingSpec:
    """How many intervals of a ray are sampled, and how they are placed."""

    kind: str = setting(
        "grid",
        "Placement of the intervals: `grid` (drawn from the density grid) or `hierarchical` "
        "(NeRF's coarse and fine samples).",
        choices=KINDS,
    )
    num_intervals: int = setting(
        32, "Intervals of a ray in training, for kind grid.", at_least=1, at_most=MOST_INTERVALS
    )
    num_coarse: int = setting(
        64,
        "Intervals from near to far, for kind hierarchical.",
        at_least=1,
        at_most=MOST_INTERVALS,
    )
    num_fine: int = setting(
        128,
        "Intervals drawn from the weights of the coarse intervals, for kind hierarchical.",
        at_least=1,
        at_most=MOST_INTERVALS,
    )

    def __post_init__(self):
        check_spec(self, "sampling")


@dataclass(frozen=True)
class UniformLevel:
    """Intervals of one length from near to far.

    Attributes:
      field: name of the field that the level queries.
    """

    num: int = argument("Number of intervals S.", at_least=1, at_most=MOST_INTERVALS)
    field: str = "main"

    def __post_init__(self):
        check_spec(self, "sampling")


@dataclass(frozen=True)
class ImportanceLevel:
    """Intervals drawn from the weights of the level before.

    Choice: widened and padded as in mip-NeRF, so that a thin surface stays inside.

    Attributes:
      field: name of the field that the level queries.
    """

    num: int = argument("Number of intervals S.", at_least=1, at_most=MOST_INTERVALS)
    field: str = "main"

    def __post_init__(self):
        check_spec(self, "sampling")


@dataclass(frozen=True)
class GridLevel:
    """Intervals drawn from the density grid.

    Attributes:
      field: name of the field that the level queries.
    """

    num: int = argument("Number of intervals S.", at_least=1, at_most=MOST_INTERVALS)
    num_probes: int = setting(
        128, "Lookups per ray that locate the density.", at_least=1, at_most=MOST_INTERVALS
    )
    exploration: float = setting(
        0.1,
        "Share of the probability that is spread evenly over the support.",
        at_least=0,
        at_most=1,
    )
    field: str = "main"

    def __post_init__(self):
        check_spec(self, "sampling")


@dataclass(frozen=True)
class GridSpec:
    """The density grid, and the hull of the masks that the grid starts from."""

    grid_resolution: int = setting(96, "Cells a side of the density grid.", at_least=1, at_most=512)
    hull_dilate_px: int = setting(
        3,
        "Growth of the masks before their hull becomes the grid's support.",
        at_least=0,
        at_most=4096,
        unit="pixels",
    )
    hull_outside: float = setting(
        0.125,
        "Share of the views that may see a point outside their mask while the point still "
        "belongs to the hull. Silhouettes that contradict each other would otherwise cut off "
        "parts that most views show.",
        at_least=0,
        below=1,
    )

    def __post_init__(self):
        check_spec(self, "sampling")


@dataclass(frozen=True)
class RenderSpec:
    """How pictures of the finished field are sampled."""

    num_intervals: int = setting(
        48, "Intervals of a ray, for sampling.kind grid.", at_least=1, at_most=MOST_INTERVALS
    )
    opaque: float = setting(
        5e-4,
        "A ray ends once no more than this share of its light is left; 0 follows every ray to "
        "its end.",
        at_least=0,
        below=1,
    )

    def __post_init__(self):
        check_spec(self, "render")


Level = UniformLevel | ImportanceLevel | GridLevel


def probe_points(rays: Rays, num: int) -> tuple[Array, Array]:
    """Edges [..., num + 1] of equal intervals from near to far, and midpoints [..., num, 3]."""
    t_edges = uniform_edges(rays.near, rays.far, num, None)
    return t_edges, ray_points(rays, middles_of(t_edges))


def _grid_intervals(
    level: GridLevel, rays: Rays, grid: DensityGrid, keys: Array | None
) -> Intervals:
    t_edges, points = probe_points(rays, level.num_probes)
    density, exists = lookup(grid, grid.density, points), lookup(grid, grid.support, points)
    t_edges = edges_at_borders(grid, rays, t_edges, exists)
    widths = jnp.diff(t_edges, axis=-1)
    norm = jnp.linalg.norm(rays.directions, axis=-1, keepdims=True)
    weights = blur_weights(alpha_weights(density * widths * norm))

    def share(values: Array) -> Array:
        values = jnp.where(exists, values, 0.0)
        return values / jnp.maximum(jnp.sum(values, -1, keepdims=True), 1e-9)

    pdf = (1.0 - level.exploration) * share(weights) + level.exploration * share(widths)
    meets = jnp.any(exists, -1, keepdims=True)
    drawn = intervals_in_support(t_edges, exists | ~meets, pdf, level.num, keys)
    # A ray that misses the support sees background: its intervals have no length.
    return Intervals(
        jnp.where(meets, drawn.edges, rays.far),
        jnp.where(meets, drawn.middles, rays.far),
        jnp.where(meets, drawn.lengths, 0.0),
    )


def meets_support(levels: tuple[Level, ...], rays: Rays, grid: DensityGrid | None) -> Array:
    """Whether rays can meet the object.

    Args:
      levels: sampling levels.
      rays: [...] rays.
      grid: density grid, or None.

    Returns:
      [...] bool: False if no probe of the ray lies in the grid's support. All True without a
      grid, or if any level samples without the grid.
    """
    if grid is None or not all(isinstance(level, GridLevel) for level in levels):
        return jnp.ones(rays.near.shape[:-1], bool)
    points = probe_points(rays, max(level.num_probes for level in levels))[1]
    return jnp.any(lookup(grid, grid.support, points), -1)


def level_intervals(
    level: Level,
    rays: Rays,
    previous: Rendering | None,
    grid: DensityGrid | None,
    keys: Array | None,
) -> Intervals:
    """Intervals in which one level samples rays.

    Args:
      level: the sampling level.
      rays: [...] rays.
      previous: rendering of the previous level, None for the first.
      grid: the density grid, needed by GridLevel.
      keys: [...] PRNG keys, one per ray, or None for a deterministic placement.

    Returns:
      [..., level.num] intervals; those of a GridLevel leave out what the grid's support does not
      hold.

    Raises:
      ValueError: a GridLevel without a grid, or an ImportanceLevel as the first level.
    """
    if isinstance(level, UniformLevel):
        return whole_intervals(uniform_edges(rays.near, rays.far, level.num, keys))
    if isinstance(level, GridLevel):
        if grid is None:
            raise ValueError("GridLevel: expected a density grid, got None")
        return _grid_intervals(level, rays, grid, keys)
    if previous is None:
        raise ValueError("ImportanceLevel: expected a level before, got the first")
    weights = blur_weights(previous.weights) + PADDING / previous.weights.shape[-1]
    return whole_intervals(importance_edges(previous.t_edges, weights, level.num, keys))
