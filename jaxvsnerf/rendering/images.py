"""Renders whole images under one jit: rays that meet the object, in chunks of constant size."""

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

# Modes that evaluate every branch at every sample.
COMBINED = ("fused", "canonical")
# Numbers stored per sample beside the field's features.
SAMPLE_NUMBERS = 32
# Numbers stored per ray of the pictures that one call renders.
RAY_NUMBERS = 256
# Samples of a ray between two checks of the transmittance.
MARCH_PART = 8


@flax.struct.dataclass
class Picture:
    """A rendered image: rgb [..., 3], acc [...], distance [...] and extras, as in `Rendering`."""

    rgb: Array
    acc: Array
    distance: Array
    extras: dict[str, Array] = flax.struct.field(default_factory=dict)


@dataclass(frozen=True)
class RenderPlan:
    """How a whole image is rendered.

    Attributes:
      mode: mode of the field.
      levels: sampling levels.
      half_extent: half the side of the sampled cube.
      combined: samples per ray at which a combined mode evaluates every branch, those of largest
        weight; the other samples use the average branch. 0 evaluates every branch at
        every sample.
      opaque: transmittance below which a ray ends, see `march`.
      rays: most rays of the pictures that one call renders; a call renders at least one picture.
      chunk: rays rendered at a time.
      block: samples evaluated at a time.
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
        """Number of pictures of a size that one call renders."""
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
) -> RenderPlan:
    """Chooses sizes so that the largest tensor, [samples, views, width], fits `elements`.

    Args:
      mode: mode of the field.
      levels: sampling levels.
      half_extent: half the side of the sampled cube.
      combined: see `RenderPlan`; ignored outside combined modes.
      opaque: see `RenderPlan`.
      num_views: V of the field.
      width: numbers that an evaluation of a sample holds at once, see `Field.features`.
      elements: most elements of a tensor, see `plan.render_elements`.
    """
    if mode not in COMBINED:
        num_views, combined = 1, 0
    block = power_of_two(elements // (num_views * width), 64, 2**20)
    # A chunk stores only positions, depths and colours, some dozens of numbers per sample.
    samples = max(level.num for level in levels)
    chunk = power_of_two(elements // (samples * SAMPLE_NUMBERS), 64, 2**16)
    # Each camera has its own nearest view, and a call evaluates one branch.
    rays = 1 if mode == "nearest" else power_of_two(elements // RAY_NUMBERS, 64, 2**20)
    return RenderPlan(mode, levels, half_extent, combined, opaque, rays, chunk, block)


def render_packed(
    render: Callable[[Rays], Rendering],
    meets: Callable[[Rays], Array],
    rays: Rays,
    total: Array | int,
    chunk: int,
    background: Array,
) -> Picture:
    """Renders the rays that meet the object, packed into chunks; to be called under jit.

    Args:
      render: rays [chunk] -> Rendering.
      meets: rays [chunk] -> [chunk] bool, whether each ray may meet the object; the other rays
        show the background.
      rays: [R] rays.
      total: number of rays to render; later rays show the background.
      chunk: rays rendered at a time.
      background: [3] colour.

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

    def mark(index: Array, found: Array) -> Array:
        part = jax.tree.map(
            lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, index * chunk, chunk), padded
        )
        return jax.lax.dynamic_update_slice_in_dim(found, meets(part), index * chunk, 0)

    found = jnp.zeros(num + missing, bool)
    found = jax.lax.fori_loop(0, -(-total // chunk), mark, found)[:num]

    def render_chunk(packed: Rays) -> Picture:
        out = render(packed)
        return Picture(out.rgb, out.acc, out.distance, out.extras)

    one = jax.eval_shape(render_chunk, jax.tree.map(lambda leaf: leaf[:chunk], rays))
    empty = Picture(
        rgb=jnp.broadcast_to(jnp.asarray(background, jnp.float32), (num, 3)),
        acc=jnp.zeros(num),
        distance=rays.far[:, 0],
        extras={name: jnp.zeros((num, like.shape[-1])) for name, like in one.extras.items()},
    )
    return map_packed(render_chunk, rays, found & (jnp.arange(num) < total), empty, chunk)


@cache  # stages, commands and objects of the same shape share compiled programs
def make_image_renderer(apply: Callable[..., FieldOut], spec: RenderPlan) -> Callable[..., Picture]:
    """Makes the renderer of a field, compiled once per picture size and number of pictures.

    Args:
      apply: (params, samples, context, mode) -> FieldOut.
      spec: how images are rendered.

    Returns:
      (params, grid, context, cameras [B], count, background) -> Picture [B, height, width],
      deterministic; pictures from index `count` on are background and cost little.
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
            return render_rays(field, part, spec.levels, grid, background)[-1]

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
