"""Renders rays: sample, query the field, composite."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxvsnerf.rendering.composite import composite
from jaxvsnerf.rendering.grid import DensityGrid
from jaxvsnerf.rendering.intervals import Intervals
from jaxvsnerf.rendering.sampling import GridLevel, Level, level_intervals
from jaxvsnerf.rendering.sparse import FieldFn, inside_support
from jaxvsnerf.rendering.support import ray_points
from jaxvsnerf.types import Array, Rays, Rendering, Samples


def make_samples(rays: Rays, intervals: Intervals) -> Samples:
    """Samples of rays [...] at the middles of intervals [..., S].

    Raises:
      ValueError: rays and intervals have different batch axes.
    """
    t_edges = intervals.edges
    if t_edges.shape[:-1] != rays.near.shape[:-1]:
        raise ValueError(
            f"expected edges [..., S + 1] for rays {rays.near.shape[:-1]}, got {t_edges.shape}"
        )
    norm = jnp.linalg.norm(rays.directions, axis=-1, keepdims=True)
    return Samples(
        # The barrier keeps the compiler from fusing, and so repeating, the computation of points
        # in every feature of the encoding.
        means=jax.lax.optimization_barrier(ray_points(rays, intervals.middles)),
        covs=None,
        t_edges=t_edges,
        lengths=intervals.lengths * norm,
        viewdirs=rays.viewdirs,
    )


def render_rays(
    field: FieldFn,
    rays: Rays,
    levels: tuple[Level, ...],
    grid: DensityGrid | None,
    background: Array,
    keys: Array | None = None,
) -> tuple[Rendering, ...]:
    """Renders rays level by level.

    Args:
      field: function from Samples to FieldOut, which all levels query.
      rays: [...] rays.
      levels: sampling levels, in order.
      grid: density grid, or None; in levels drawn from the grid, density outside the grid's
        support is 0.
      background: [3] or [..., 3] colour behind the object.
      keys: [...] PRNG keys, one per ray, or None for a deterministic rendering.

    Returns:
      One Rendering per level; the last is the picture.

    Raises:
      ValueError: a level lacks a grid or a previous level, see `level_intervals`.
    """
    renderings: list[Rendering] = []
    for index, level in enumerate(levels):
        drawn = (
            None
            if keys is None
            else jax.vmap(jax.random.fold_in, (0, None))(keys.reshape(-1), index).reshape(
                keys.shape
            )
        )
        previous = renderings[-1] if renderings else None
        intervals = level_intervals(level, rays, previous, grid, drawn)
        samples = make_samples(rays, intervals)
        ask = inside_support(field, grid) if isinstance(level, GridLevel) else field
        out = ask(samples)
        renderings.append(composite(out, intervals, rays.far, background))
    return tuple(renderings)
