"""Costly fields asked only where it matters: a cheap field says where the weight lies.

Each function here makes of two fields, from Samples to FieldOut, one: the answers of the
costly one where samples carry weight, of the cheap one elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxvsnerf.rendering.composite import alpha_weights
from jaxvsnerf.rendering.grid import DensityGrid, lookup
from jaxvsnerf.rendering.intervals import blur_weights
from jaxvsnerf.types import Array, FieldOut, Samples

FieldFn = Callable[[Samples], FieldOut]


def inside_support(field: FieldFn, grid: DensityGrid) -> FieldFn:
    """The field with nothing outside the grid's support."""

    def ask(samples: Samples) -> FieldOut:
        out = field(samples)
        exists = lookup(grid, grid.support, samples.means)
        return out.replace(optical_depth=jnp.where(exists, out.optical_depth, 0.0))

    return ask


def _single_samples(samples: Samples) -> Samples:
    """Every interval as a ray of its own: [..., S] becomes [..., S, 1]."""
    directions = samples.viewdirs
    shape = samples.lengths.shape
    return Samples(
        means=samples.means[..., None, :],
        covs=None if samples.covs is None else samples.covs[..., None, :, :],
        t_edges=jnp.stack([samples.t_edges[..., :-1], samples.t_edges[..., 1:]], -1),
        lengths=samples.lengths[..., None],
        viewdirs=None
        if directions is None
        else jnp.broadcast_to(directions[..., None, :], (*shape, 3)),
    )


def _weights(rough: FieldOut) -> Array:
    # The neighbours of what carries weight count too: the fields may differ by an interval.
    return blur_weights(alpha_weights(rough.optical_depth))


def ask_heaviest(costly: FieldFn, cheap: FieldFn, num: int) -> FieldFn:
    """Asks the costly field for the `num` heaviest samples of every ray, for training.

    No gradient flows through the cheap field, nor through which samples were taken.

    Args:
      costly: asked for [..., num, 1] samples.
      cheap: asked for all of them.
      num: samples of a ray; all where it has no more.
    """

    def ask(samples: Samples) -> FieldOut:
        if samples.lengths.shape[-1] <= num:
            return costly(samples)
        rough = jax.lax.stop_gradient(cheap(samples))
        _, index = jax.lax.top_k(_weights(rough), num)

        def take(leaf: Array) -> Array:
            tail = (1,) * (leaf.ndim - index.ndim)
            return jnp.take_along_axis(leaf, index.reshape(*index.shape, *tail), index.ndim - 1)

        fine = costly(jax.tree.map(take, _single_samples(samples)))

        def put(old: Array, new: Array) -> Array:
            new = new.reshape(*index.shape, *old.shape[index.ndim :])
            tail = (1,) * (old.ndim - index.ndim)
            where = jnp.broadcast_to(index.reshape(*index.shape, *tail), new.shape)
            return jnp.put_along_axis(old, where, new, axis=index.ndim - 1, inplace=False)

        return jax.tree.map(put, rough, fine)

    return ask


def ask_significant(costly: FieldFn, cheap: FieldFn, threshold: float, block: int) -> FieldFn:
    """Asks the costly field where a sample's weight is `threshold` or more, for rendering.

    What that costs follows the number of such samples: they are packed into blocks, and
    only as many blocks as they fill are computed. Not differentiable.

    Args:
      costly: asked for [block, 1] samples at a time.
      cheap: asked for all samples.
      threshold: weight by the cheap field below which its answer stands.
      block: samples at a time.
    """

    def ask(samples: Samples) -> FieldOut:
        rough = cheap(samples)
        active = (_weights(rough) >= threshold).reshape(-1)
        total = active.shape[0]
        size = min(block, total)
        slot = jnp.cumsum(active) - 1
        count = slot[-1] + 1
        # Slot s holds the s-th active sample; room for a last block that is not full.
        packed = jnp.zeros(-(-total // size) * size, jnp.int32)
        packed = packed.at[jnp.where(active, slot, packed.shape[0])].set(
            jnp.arange(total, dtype=jnp.int32), mode="drop"
        )
        dims = samples.lengths.ndim
        flat = jax.tree.map(
            lambda leaf: leaf.reshape(total, *leaf.shape[dims:]), _single_samples(samples)
        )

        def one(index, buffers):
            start = index * size
            which = jax.lax.dynamic_slice_in_dim(packed, start, size)
            out = costly(jax.tree.map(lambda leaf: leaf[which], flat))
            return jax.tree.map(
                lambda buffer, part: jax.lax.dynamic_update_slice_in_dim(
                    buffer, part[:, 0].astype(buffer.dtype), start, 0
                ),
                buffers,
                out,
            )

        buffers = jax.tree.map(
            lambda leaf: jnp.zeros((packed.shape[0], *leaf.shape[dims:]), leaf.dtype), rough
        )
        buffers = jax.lax.fori_loop(0, (count + size - 1) // size, one, buffers)

        def merge(old: Array, new: Array) -> Array:
            found = new[jnp.maximum(slot, 0)]
            chosen = active.reshape(-1, *(1,) * (found.ndim - 1))
            return jnp.where(chosen, found, old.reshape(found.shape)).reshape(old.shape)

        return jax.tree.map(merge, rough, buffers)

    return ask
