"""Whole images under one jit, in chunks of constant size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import flax.struct
import jax
import jax.numpy as jnp

from jaxvsnerf.geometry.cameras import image_rays
from jaxvsnerf.rendering.grid import DensityGrid
from jaxvsnerf.rendering.plan import power_of_two
from jaxvsnerf.rendering.render import render_rays
from jaxvsnerf.rendering.sampling import GridLevel, Level, hits_support
from jaxvsnerf.rendering.sparse import ask_significant, inside_support
from jaxvsnerf.types import Array, FieldOut, Rays, Rendering

# Modes that ask every branch at every sample.
COMBINED = ("fused", "canonical")


@flax.struct.dataclass
class Picture:
    """What a whole image keeps: rgb [..., 3], acc [...], distance [...]."""

    rgb: Array
    acc: Array
    distance: Array


@dataclass(frozen=True)
class RenderSpec:
    """How a whole image is rendered.

    Attributes:
      mode: of the field.
      levels: where to sample.
      half_extent: half the side of the sampled cube.
      chunk: rays at a time.
      skip_below: samples of a combined mode whose weight, by the average branch, is below
        this keep that branch's answer; 0 combines all.
      block: samples combined at a time where some are skipped.
    """

    mode: str
    levels: tuple[Level, ...]
    half_extent: float
    chunk: int
    skip_below: float = 0.0
    block: int = 1


def plan_rendering(
    mode: str,
    levels: tuple[Level, ...],
    half_extent: float,
    skip_below: float,
    num_views: int,
    width: int,
    elements: int,
) -> RenderSpec:
    """The spec whose largest tensor, [samples, views, width], stays within `elements`."""
    samples = max(level.num for level in levels)
    combined = num_views if mode in COMBINED else 1
    skipping = combined > 1 and skip_below > 0
    rays = elements // (samples * (1 if skipping else combined) * width)
    return RenderSpec(
        mode=mode,
        levels=levels,
        half_extent=half_extent,
        chunk=power_of_two(rays, 64, 2**16),
        skip_below=skip_below if skipping else 0.0,
        block=power_of_two(elements // (combined * width), 64, 2**20),
    )


def render_chunks(
    render: Callable[[Rays], Rendering],
    rays: Rays,
    chunk: int,
    background: Array,
    hit: Array | None = None,
) -> Picture:
    """Renders rays [R] chunk by chunk; pads the last; call it under jit.

    Args:
      render: rays [chunk] -> Rendering.
      rays: [R] rays.
      chunk: rays at a time.
      background: [3], what rays that hit nothing show.
      hit: [R] bool, which rays can meet something; the others cost nothing. None is all.

    Returns:
      Picture of [R] rays.
    """
    total = rays.near.shape[0]
    chunk = min(chunk, total)
    count = -(-total // chunk)
    hit = jnp.ones(total, bool) if hit is None else hit
    # Rays that hit come first, so that whole chunks of the rest are skipped.
    order = jnp.argsort(~hit, stable=True)
    padded = jnp.concatenate([order, jnp.zeros(count * chunk - total, order.dtype)])

    def one(args):
        index, active = args
        part = jax.tree.map(lambda leaf: leaf[index], rays)

        def full():
            out = render(part)
            return Picture(out.rgb, out.acc, out.distance)

        def empty():
            size = part.near.shape[0]
            rgb = jnp.broadcast_to(background.astype(jnp.float32), (size, 3))
            return Picture(rgb, jnp.zeros(size), part.far[:, 0])

        return jax.lax.cond(active, full, empty)

    active = jnp.arange(count) * chunk < jnp.sum(hit)
    chunks = jax.lax.map(one, (padded.reshape(count, chunk), active))
    flat = jax.tree.map(lambda leaf: leaf.reshape(count * chunk, *leaf.shape[2:])[:total], chunks)
    back = jnp.zeros_like(order).at[order].set(jnp.arange(total, dtype=order.dtype))
    return jax.tree.map(lambda leaf: leaf[back], flat)


def ray_hits(rays: Rays, levels: tuple[Level, ...], grid: DensityGrid | None) -> Array | None:
    """[R] bool whether a ray meets the grid's support, None where no level uses the grid."""
    probes = [level.num_probes for level in levels if isinstance(level, GridLevel)]
    if not probes or len(probes) < len(levels) or grid is None:
        return None
    return hits_support(rays, grid, 2 * max(probes))


@cache  # stages, commands and objects of the same shape share what was compiled
def make_image_renderer(apply: Callable[..., FieldOut], spec: RenderSpec) -> Callable[..., Picture]:
    """The whole-image renderer of a field, compiled once per picture size.

    Args:
      apply: (params, samples, context, mode) -> FieldOut.
      spec: how.

    Returns:
      (params, grid, context, cameras, view, background) -> Picture [height, width],
      deterministic.
    """

    @jax.jit
    def render(params, grid, context, cameras, view, background) -> Picture:
        rays = image_rays(cameras, view, spec.half_extent)
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), rays)
        main = partial(apply, params, context=context, mode=spec.mode)
        if spec.skip_below:
            cheap = partial(apply, params, context=context, mode="average")
            if grid is not None:
                cheap = inside_support(cheap, grid)
            main = ask_significant(main, cheap, spec.skip_below, spec.block)

        def last_level(part: Rays) -> Rendering:
            return render_rays({"main": main}, part, spec.levels, grid, background)[-1]

        hit = ray_hits(flat, spec.levels, grid)
        picture = render_chunks(last_level, flat, spec.chunk, background, hit)
        shape = rays.near.shape[:2]
        return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), picture)

    return render
