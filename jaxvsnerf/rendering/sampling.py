"""Sampling along rays, as a tuple of levels; each level places the next field queries."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from jaxvsnerf.fields.neus import DISTANCE
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
from jaxvsnerf.rendering.surface import upsample
from jaxvsnerf.system.settings import argument, check_spec, setting
from jaxvsnerf.types import Array, Rays, Rendering

# Share of the importance level's probability that stays uniform (mip-NeRF's padding).
PADDING = 0.01


MOST_INTERVALS = 4096
KINDS = ("grid", "hierarchical", "neus")
# Rounds of NeuS's up-sampling, and the sharpness of the first round per cube side; each round
# doubles the sharpness. NeuS: 64 in a sphere of radius 1, which is 128 in a cube of side 1.
ROUNDS, FIRST_SHARPNESS = 4, 128.0


@dataclass(frozen=True)
class SamplingSpec:
    """How many intervals of a ray are sampled, and how they are placed."""

    kind: str = setting(
        "grid",
        "Placement of the intervals: `grid` (drawn from the density grid), `hierarchical` (NeRF's "
        "coarse and fine samples) or `neus` (coarse intervals, cut where the signed distance "
        "changes its sign; for `field.decoder` sdf).",
        choices=KINDS,
    )
    num_intervals: int = setting(
        32, "Intervals of a ray in training, for kind grid.", at_least=1, at_most=MOST_INTERVALS
    )
    num_coarse: int = setting(
        64,
        "Intervals from near to far, for the kinds hierarchical and neus.",
        at_least=1,
        at_most=MOST_INTERVALS,
    )
    num_fine: int = setting(
        128,
        "Intervals drawn from the weights of the coarse intervals, for kind hierarchical; "
        "intervals added to the coarse ones, for kind neus.",
        at_least=1,
        at_most=MOST_INTERVALS,
    )

    def __post_init__(self):
        check_spec(self, "sampling")


@dataclass(frozen=True)
class UniformLevel:
    """Intervals of one length from near to far."""

    num: int = argument("Number of intervals S.", at_least=1, at_most=MOST_INTERVALS)

    def __post_init__(self):
        check_spec(self, "sampling")


@dataclass(frozen=True)
class ImportanceLevel:
    """Intervals drawn from the weights of the level before.

    Choice: widened and padded as in mip-NeRF, so that a thin surface stays inside.
    """

    num: int = argument("Number of intervals S.", at_least=1, at_most=MOST_INTERVALS)

    def __post_init__(self):
        check_spec(self, "sampling")


@dataclass(frozen=True)
class GridLevel:
    """Intervals drawn from the density grid."""

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


@dataclass(frozen=True)
class UpsampleLevel:
    """NeuS's up-sampling: the intervals of the level before, cut near the surface.

    Source: NeuS (arXiv:2106.10689) supplement C.
    """

    num: int = argument(
        "Number of intervals S, those of the level before included.",
        at_least=1,
        at_most=MOST_INTERVALS,
    )
    sharpness: float = argument(
        "Sharpness with which the distances of the level before are weighed.", above=0
    )

    def __post_init__(self):
        check_spec(self, "sampling")


Level = UniformLevel | ImportanceLevel | GridLevel | UpsampleLevel


def graded(levels: tuple[Level, ...]) -> slice:
    """The levels that the loss reads: all, or the last alone after up-sampling.

    NeuS's rounds place intervals only; NeRF's coarse level has a loss of its own.
    """
    upsampled = any(isinstance(level, UpsampleLevel) for level in levels)
    return slice(-1 if upsampled else 0, None)


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
        raise ValueError(f"{type(level).__name__}: expected a level before, got the first")
    if isinstance(level, UpsampleLevel):
        distance = previous.out.extras[DISTANCE][..., 0]
        missing = level.num - distance.shape[-1]
        added = upsample(previous.middles, distance, missing, level.sharpness)
        return whole_intervals(jnp.sort(jnp.concatenate([previous.t_edges, added], -1), -1))
    weights = blur_weights(previous.weights) + PADDING / previous.weights.shape[-1]
    return whole_intervals(importance_edges(previous.t_edges, weights, level.num, keys))
