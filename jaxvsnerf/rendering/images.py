"""Whole images under one jit, in chunks of constant size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import flax.struct
import jax
import jax.numpy as jnp

from jaxvsnerf.geometry.cameras import image_rays
from jaxvsnerf.rendering.plan import power_of_two
from jaxvsnerf.rendering.render import render_rays
from jaxvsnerf.rendering.sampling import Level
from jaxvsnerf.rendering.sparse import march
from jaxvsnerf.types import Array, FieldOut, Rays, Rendering

# Modes that ask every branch at every sample.
COMBINED = ("fused", "canonical")
# Numbers a sample takes beside the field's own features.
SAMPLE_NUMBERS = 32
# Samples of a ray between two looks at its transmittance.
MARCH_PART = 8


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
      opaque: transmittance that counts as none, see `march`.
      chunk: rays at a time.
      block: samples at a time.
    """

    mode: str
    levels: tuple[Level, ...]
    half_extent: float
    opaque: float
    chunk: int
    block: int


def plan_rendering(
    mode: str,
    levels: tuple[Level, ...],
    half_extent: float,
    opaque: float,
    num_views: int,
    width: int,
    elements: int,
) -> RenderSpec:
    """The spec whose largest tensor, [samples, views, width], stays within `elements`."""
    views = num_views if mode in COMBINED else 1
    block = power_of_two(elements // (views * width), 64, 2**20)
    # Of a chunk only positions, depths and colours exist, some dozens of numbers a sample.
    samples = max(level.num for level in levels)
    chunk = power_of_two(elements // (samples * SAMPLE_NUMBERS), 64, 2**16)
    return RenderSpec(mode, levels, half_extent, opaque, chunk, block)


def render_chunks(render: Callable[[Rays], Rendering], rays: Rays, chunk: int) -> Picture:
    """Renders rays [R] chunk by chunk; pads the last; call it under jit.

    Args:
      render: rays [chunk] -> Rendering.
      rays: [R] rays.
      chunk: rays at a time.

    Returns:
      Picture of [R] rays.
    """
    total = rays.near.shape[0]
    chunk = min(chunk, total)
    count = -(-total // chunk)

    def one(part: Rays) -> Picture:
        out = render(part)
        return Picture(out.rgb, out.acc, out.distance)

    def split(leaf: Array) -> Array:
        padding = ((0, count * chunk - total),) + ((0, 0),) * (leaf.ndim - 1)
        return jnp.pad(leaf, padding, mode="edge").reshape(count, chunk, *leaf.shape[1:])

    chunks = jax.lax.map(one, jax.tree.map(split, rays))
    return jax.tree.map(lambda leaf: leaf.reshape(count * chunk, *leaf.shape[2:])[:total], chunks)


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
        whole = partial(apply, params, context=context, mode=spec.mode)
        field = march(whole, grid, MARCH_PART, spec.opaque, spec.block)

        def last_level(part: Rays) -> Rendering:
            return render_rays({"main": field}, part, spec.levels, grid, background)[-1]

        picture = render_chunks(last_level, flat, spec.chunk)
        shape = rays.near.shape[:2]
        return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), picture)

    return render
