"""Whole images under one jit: the rays that meet something, in chunks of constant size."""

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
from jaxvsnerf.rendering.sampling import Level, meets_support
from jaxvsnerf.rendering.sparse import FieldFn, ask_heaviest, map_packed, march
from jaxvsnerf.types import Array, Cameras, FieldOut, Rays, Rendering

# Modes that ask every branch at every sample.
COMBINED = ("fused", "canonical")
# Numbers a sample takes beside the field's own features.
SAMPLE_NUMBERS = 32
# Numbers allowed for each ray of the pictures that are rendered together.
RAY_NUMBERS = 256
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
      combined: samples of a ray that a combined mode asks every branch about, those that
        carry most weight; the others are the average branch's. 0 is all.
      opaque: transmittance that counts as none, see `march`.
      rays: of the pictures that are rendered together; a larger picture is alone.
      chunk: rays at a time.
      block: samples at a time.
    """

    mode: str
    levels: tuple[Level, ...]
    half_extent: float
    combined: int
    opaque: float
    rays: int
    chunk: int
    block: int

    def pictures(self, width: int, height: int) -> int:
        """How many pictures of this size are rendered together."""
        return max(self.rays // (width * height), 1)


def plan_rendering(
    mode: str,
    levels: tuple[Level, ...],
    half_extent: float,
    combined: int,
    opaque: float,
    num_views: int,
    width: int,
    elements: int,
) -> RenderSpec:
    """The spec whose largest tensor, [samples, views, width], stays within `elements`."""
    if mode not in COMBINED:
        num_views, combined = 1, 0
    block = power_of_two(elements // (num_views * width), 64, 2**20)
    # Of a chunk only positions, depths and colours exist, some dozens of numbers a sample.
    samples = max(level.num for level in levels)
    chunk = power_of_two(elements // (samples * SAMPLE_NUMBERS), 64, 2**16)
    # Each camera has its own nearest view, and a call asks one.
    rays = 1 if mode == "nearest" else power_of_two(elements // RAY_NUMBERS, 64, 2**20)
    return RenderSpec(mode, levels, half_extent, combined, opaque, rays, chunk, block)


def render_packed(
    render: Callable[[Rays], Rendering],
    meets: Callable[[Rays], Array],
    rays: Rays,
    total: Array | int,
    chunk: int,
    background: Array,
) -> Picture:
    """Renders the rays that meet something, packed into chunks; call it under jit.

    Args:
      render: rays [chunk] -> Rendering.
      meets: rays [chunk] -> whether each meets anything, [chunk] bool; the others see the
        background.
      rays: [R] rays.
      total: the rays from this one on are not rendered.
      chunk: rays at a time.
      background: [3].

    Returns:
      Picture of [R] rays.
    """
    num = rays.near.shape[0]
    chunk = min(chunk, num)
    missing = -num % chunk

    padded = jax.tree.map(
        lambda leaf: jnp.pad(leaf, ((0, missing),) + ((0, 0),) * (leaf.ndim - 1), mode="edge"),
        rays,
    )

    def look(index: Array, found: Array) -> Array:
        part = jax.tree.map(
            lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, index * chunk, chunk), padded
        )
        return jax.lax.dynamic_update_slice_in_dim(found, meets(part), index * chunk, 0)

    found = jnp.zeros(num + missing, bool)
    found = jax.lax.fori_loop(0, -(-total // chunk), look, found)[:num]

    def one(packed: Rays) -> Picture:
        out = render(packed)
        return Picture(out.rgb, out.acc, out.distance)

    empty = Picture(
        rgb=jnp.broadcast_to(jnp.asarray(background, jnp.float32), (num, 3)),
        acc=jnp.zeros(num),
        distance=rays.far[:, 0],
    )
    return map_packed(one, rays, found & (jnp.arange(num) < total), empty, chunk)


@cache  # stages, commands and objects of the same shape share what was compiled
def make_image_renderer(apply: Callable[..., FieldOut], spec: RenderSpec) -> Callable[..., Picture]:
    """The renderer of a field's pictures, compiled once per size and number of them.

    Args:
      apply: (params, samples, context, mode) -> FieldOut.
      spec: how.

    Returns:
      (params, grid, context, cameras [B], count, background) -> Picture [B, height, width],
      deterministic; the pictures from `count` on are background and cost next to nothing.
    """

    @jax.jit
    def render(params, grid, context, cameras: Cameras, count, background) -> Picture:
        views = jnp.arange(len(cameras.w2c))
        rays = jax.vmap(lambda view: image_rays(cameras, view, spec.half_extent))(views)
        shape = rays.near.shape[:-1]
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[3:]), rays)

        def marched(mode: str) -> FieldFn:
            whole = partial(apply, params, context=context, mode=mode)
            return march(whole, grid, MARCH_PART, spec.opaque, spec.block)

        field = marched(spec.mode)
        if spec.combined:
            field = ask_heaviest(field, marched("average"), spec.combined)

        def last_level(part: Rays) -> Rendering:
            return render_rays({"main": field}, part, spec.levels, grid, background)[-1]

        picture = render_packed(
            last_level,
            lambda part: meets_support(spec.levels, part, grid),
            flat,
            count * (shape[1] * shape[2]),
            spec.chunk,
            background,
        )
        return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), picture)

    return render
