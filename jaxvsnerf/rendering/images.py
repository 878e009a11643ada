"""Whole images under one jit, in chunks of constant size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import flax.struct
import jax
import jax.numpy as jnp

from jaxvsnerf.geometry.cameras import image_rays
from jaxvsnerf.rendering.grid import DensityGrid
from jaxvsnerf.rendering.render import render_rays
from jaxvsnerf.rendering.sampling import GridLevel, Level, hits_support
from jaxvsnerf.types import Array, FieldOut, Rays, Rendering

# Elements of the largest tensor of a chunk. A tensor of 2^31 elements in one matrix
# product crashed XLA on a GPU; a CPU wants its caches.
MAX_ELEMENTS = {"cpu": 2**23, "gpu": 2**28, "tpu": 2**28}


@flax.struct.dataclass
class Picture:
    """What a whole image keeps: rgb [..., 3], acc [...], distance [...]."""

    rgb: Array
    acc: Array
    distance: Array


def chunk_size(num_samples: int, num_views: int, width: int, platform: str) -> int:
    """Rays per chunk so that rays x samples x views x width stays bounded.

    Returns:
      A power of two, from 64 to 65,536.
    """
    rays = MAX_ELEMENTS.get(platform, 2**26) // (num_samples * num_views * width)
    return 1 << min(max(rays.bit_length() - 1, 6), 16)


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


def make_image_renderer(
    apply: Callable[..., FieldOut],
    mode: str,
    levels: tuple[Level, ...],
    chunk: int,
    half_extent: float,
) -> Callable[..., Picture]:
    """The whole-image renderer of a field, compiled once per picture size.

    Args:
      apply: (params, samples, context, mode) -> FieldOut.
      mode: of the field.
      levels: where to sample.
      chunk: rays at a time, see `chunk_size`.
      half_extent: half the side of the sampled cube.

    Returns:
      (params, grid, context, cameras, view, background) -> Picture [height, width],
      deterministic.
    """

    @jax.jit
    def render(params, grid, context, cameras, view, background) -> Picture:
        rays = image_rays(cameras, view, half_extent)
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), rays)
        main = partial(apply, params, context=context, mode=mode)

        def last_level(part: Rays) -> Rendering:
            return render_rays({"main": main}, part, levels, grid, background)[-1]

        hit = ray_hits(flat, levels, grid)
        picture = render_chunks(last_level, flat, chunk, background, hit)
        shape = rays.near.shape[:2]
        return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), picture)

    return render
