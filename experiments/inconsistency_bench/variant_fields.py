"""Fields of those variants of `ours` that are not settings of `ours`."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp

from experiments.inconsistency_bench.fields import asked_alone
from jaxvsnerf.fields.build import Field, FieldSpec, build_field
from jaxvsnerf.types import Array, FieldOut, Params, Samples

HIGHEST = jax.lax.Precision.HIGHEST


@cache
def low_rank_field(spec: FieldSpec, rank: int) -> Field:
    """Builds branches that differ from common layers by matrices of a small rank.

    The common layers are in the group `shared`, the factors in `views`.
    """
    base = build_field(spec)

    def init(key: Array, num_branches: int = 1) -> Params:
        params = base.init(key, 1)

        def factors(index: int, kernel: Array) -> dict[str, Array]:
            inputs, outputs = kernel.shape[1:]
            drawn = jax.random.normal(jax.random.fold_in(key, index), (num_branches, inputs, rank))
            return {
                "down": drawn / jnp.sqrt(inputs),
                "up": jnp.zeros((num_branches, rank, outputs)),
            }

        kernels = [leaf for leaf in jax.tree.leaves(params["views"]) if leaf.ndim == 3]
        views = {str(index): factors(index, kernel) for index, kernel in enumerate(kernels)}
        shared = {"layers": params["shared"], "branch": params["views"]}
        return {**params, "shared": shared, "views": views}

    def whole(params: Params) -> Params:
        leaves, tree = jax.tree.flatten(params["shared"]["branch"])
        factors = iter(params["views"][str(index)] for index in range(len(params["views"])))
        count = len(params["views"]["0"]["up"])
        branches = []
        for leaf in leaves:
            branch = jnp.broadcast_to(leaf, (count, *leaf.shape[1:]))
            if leaf.ndim == 3:
                one = next(factors)
                change = jnp.einsum("vir,vro->vio", one["down"], one["up"], precision=HIGHEST)
                branch = branch + change
            branches.append(branch)
        shared = params["shared"]["layers"]
        return {**params, "shared": shared, "views": jax.tree.unflatten(tree, branches)}

    def trunk(params, samples, context, mode, token_mask=None) -> Array:
        return base.trunk(whole(params), samples, context, mode, token_mask)

    def apply(params, samples, context, mode, token_mask=None) -> FieldOut:
        return base.apply(whole(params), samples, context, mode, token_mask)

    return asked_alone(base._replace(init=init, trunk=trunk, apply=apply))


@cache
def shared_density_field(spec: FieldSpec) -> Field:
    """Takes density from the average branch, so that views differ in colour alone."""
    base = build_field(spec)

    def apply(params, samples, context, mode, token_mask=None) -> FieldOut:
        out = base.apply(params, samples, context, mode, token_mask)
        if mode in ("single", "average"):
            return out
        common = base.apply(params, samples, context, "average")
        return out.replace(optical_depth=common.optical_depth)

    return asked_alone(base._replace(apply=apply))


@cache
def random_views_field(spec: FieldSpec, own: float, others: float) -> Field:
    """Hides random views from the combiner.

    Args:
      spec: spec of the field.
      own: share of the rays for which the combiner sees the ray's own view.
      others: share of the rays for which the combiner sees another view.
    """
    base = build_field(spec)

    def apply(params, samples, context, mode, token_mask=None) -> FieldOut:
        if token_mask is not None and samples.viewdirs is not None:
            token_mask = _drawn(token_mask, samples, own, others)
        return base.apply(params, samples, context, mode, token_mask)

    return asked_alone(base._replace(apply=apply))


def _drawn(token_mask: Array, samples: Samples, own: float, others: float) -> Array:
    """Draws the visible views, [..., V] bool, from the mask of the own view; at least one stays."""
    dims = samples.viewdirs.ndim
    mask = token_mask.reshape(
        *token_mask.shape[:-1], *(1,) * (dims - token_mask.ndim), token_mask.shape[-1]
    )
    # A field gets no random key, so the ray's direction replaces a key.
    waves = jnp.asarray([12.9898, 78.233, 37.719])
    turns = 1.0 + 0.37 * jnp.arange(mask.shape[-1])
    noise = jnp.sin(jnp.sum(samples.viewdirs * waves, -1, keepdims=True) * turns) * 43758.5453
    noise = noise - jnp.floor(noise)
    drawn = noise < jnp.where(mask, others, own)
    least = jnp.min(jnp.where(mask, noise, 2.0), -1, keepdims=True)
    return drawn | (mask & (noise == least))
