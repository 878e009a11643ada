"""Sparse evaluation of fields; each function wraps a field and returns a field."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxvsnerf.rendering.composite import alpha_weights
from jaxvsnerf.rendering.grid import DensityGrid, lookup
from jaxvsnerf.rendering.intervals import blur_weights
from jaxvsnerf.types import Array, FieldOut, Samples

FieldFn = Callable[[Samples], FieldOut]
Tree = Any  # a pytree of arrays
# Least number of blocks that all samples would fill: a block is computed whole even if few of its
# samples are used.
MIN_BLOCKS = 8


def inside_support(field: FieldFn, grid: DensityGrid) -> FieldFn:
    """The field with zero optical depth outside the grid's support."""

    def ask(samples: Samples) -> FieldOut:
        out = field(samples)
        exists = lookup(grid, grid.support, samples.means)
        return out.replace(optical_depth=jnp.where(exists, out.optical_depth, 0.0))

    return ask


def _single_samples(samples: Samples) -> Samples:
    """Turns every interval into a ray of one sample: [..., S] becomes [..., S, 1]."""
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


def ask_heaviest(costly: FieldFn, cheap: FieldFn, num: int) -> FieldFn:
    """Evaluates a costly field only at the `num` heaviest samples of every ray.

    A cheap field determines the compositing weights that select these samples, and its output is
    used at all others. Gradients flow through the costly field only, not through the selection.

    Args:
      costly: evaluated at samples [..., num, 1].
      cheap: evaluated at all samples.
      num: samples per ray; a ray with no more samples is left to the costly field alone.

    Returns:
      A field.
    """

    def ask(samples: Samples) -> FieldOut:
        if samples.lengths.shape[-1] <= num:
            return costly(samples)
        rough = jax.lax.stop_gradient(cheap(samples))
        # Neighbours of heavy samples count too: the two fields' surfaces may differ by a sample.
        weights = blur_weights(alpha_weights(rough.optical_depth))
        _, index = jax.lax.top_k(weights, num)

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


def march(
    field: FieldFn, grid: DensityGrid | None, part: int, opaque: float, block: int
) -> FieldFn:
    """Evaluates a field front to back, only at samples that can be visible, for rendering.

    Skips samples outside the grid's support, of zero length, or where the ray's transmittance is
    below `opaque` (early ray termination). The other samples are packed into blocks, and only as
    many blocks are computed as these samples fill. The error of a colour is at most `opaque`. Not
    differentiable.

    Args:
      field: evaluated at samples [block, 1], one block at a time.
      grid: density outside the grid's support is 0; None sets no limit.
      part: samples of a ray between two checks of the transmittance.
      opaque: transmittance below which a ray ends; 0 never ends a ray.
      block: most samples per block.

    Returns:
      A field.
    """

    def ask(samples: Samples) -> FieldOut:
        batch, num = samples.lengths.shape[:-1], samples.lengths.shape[-1]
        exists = samples.lengths > 0
        if grid is not None:
            exists &= lookup(grid, grid.support, samples.means)
        size = min(part, num)
        missing = -num % size

        def by_ray(leaf: Array) -> Array:
            rows = leaf.reshape(-1, num, *leaf.shape[len(batch) + 1 :])
            return jnp.pad(rows, ((0, 0), (0, missing)) + ((0, 0),) * (rows.ndim - 2))

        singles = jax.tree.map(by_ray, _single_samples(samples))
        exists = by_ray(exists)
        rays, padded = exists.shape
        rows = min(block, -(-rays * size // MIN_BLOCKS))
        ask_block, zeros = _block_field(field, singles, rows)

        def one_part(index: Array, carry: tuple[FieldOut, Array]) -> tuple[FieldOut, Array]:
            answers, depth = carry
            cut = partial(_part, index=index, size=size)
            visible = cut(exists) & (jnp.exp(-depth) >= opaque)[:, None]
            flat = jax.tree.map(lambda leaf: cut(leaf).reshape(-1, *leaf.shape[2:]), singles)
            found = map_packed(ask_block, flat, visible.reshape(-1), zeros(visible.size), rows)
            found = jax.tree.map(lambda leaf: leaf.reshape(*visible.shape, *leaf.shape[1:]), found)
            answers = jax.tree.map(partial(_put_part, index=index * size), answers, found)
            return answers, depth + jnp.sum(found.optical_depth, -1)

        start = zeros(rays, padded), jnp.zeros(rays)
        answers, _ = jax.lax.fori_loop(0, padded // size, one_part, start)
        return jax.tree.map(
            lambda leaf: leaf[:, :num].reshape(*batch, num, *leaf.shape[2:]), answers
        )

    return ask


def _part(leaf: Array, index: Array, size: int) -> Array:
    """Part `index` of [R, S, ...] along the samples: [R, size, ...]."""
    return jax.lax.dynamic_slice_in_dim(leaf, index * size, size, 1)


def _put_part(old: Array, new: Array, index: Array) -> Array:
    """`old` [R, S, ...] with `new` [R, size, ...] from sample `index` on."""
    return jax.lax.dynamic_update_slice_in_dim(old, new, index, 1)


def _block_field(
    field: FieldFn, singles: Samples, rows: int
) -> tuple[FieldFn, Callable[..., FieldOut]]:
    """The field over blocks [rows, 1] of `singles` [R, S, 1], and a maker of zero outputs."""

    # jit: traced once, although used for shapes and for the computation.
    @partial(jax.jit, inline=True)
    def ask(block: Samples) -> FieldOut:
        return jax.tree.map(lambda leaf: leaf[:, 0], field(block))

    def row_shape(leaf: Array) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((rows, *leaf.shape[2:]), leaf.dtype)

    answer = jax.eval_shape(ask, jax.tree.map(row_shape, singles))

    def zeros(*shape: int) -> FieldOut:
        return jax.tree.map(lambda leaf: jnp.zeros((*shape, *leaf.shape[1:]), leaf.dtype), answer)

    return ask, zeros


def map_packed(
    function: Callable[[Tree], Tree], inputs: Tree, active: Array, answers: Tree, size: int
) -> Tree:
    """Calls a function on the active rows only, packed into blocks; not differentiable.

    Args:
      function: rows [size, ...] -> answers [size, ...].
      inputs: [N, ...] rows, a pytree.
      active: [N] bool; only as many blocks are computed as the active rows fill.
      answers: [N, ...] answers of the inactive rows, a pytree.
      size: rows per block.

    Returns:
      [N, ...] answers of all rows.
    """
    total = len(active)
    slot = jnp.cumsum(active) - 1
    count = slot[-1] + 1
    # Slot s holds the index of the s-th active row; padded to whole blocks.
    packed = jnp.zeros(-(-total // size) * size, jnp.int32)
    packed = packed.at[jnp.where(active, slot, len(packed))].set(
        jnp.arange(total, dtype=jnp.int32), mode="drop"
    )

    def one_block(index: Array, answers: Tree) -> Tree:
        which = jax.lax.dynamic_slice_in_dim(packed, index * size, size)
        found = function(jax.tree.map(lambda leaf: leaf[which], inputs))
        # Results of slots behind the last active row are discarded.
        target = jnp.where(index * size + jnp.arange(size) < count, which, total)
        return jax.tree.map(lambda leaf, new: leaf.at[target].set(new, mode="drop"), answers, found)

    return jax.lax.fori_loop(0, -(-count // size), one_block, answers)
