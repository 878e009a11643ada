"""Step functions along rays: S intervals are given by S + 1 increasing edges, in float32."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxvsnerf.types import Array


class Intervals(NamedTuple):
    """S intervals of each ray, in t.

    Attributes:
      edges: [..., S + 1] increasing edges.
      middles: [..., S] positions of the samples.
      lengths: [..., S], at least 0; less than the distance of the edges if a part of an interval
        does not count.
    """

    edges: Array
    middles: Array
    lengths: Array


def middles_of(t_edges: Array) -> Array:
    """Middles [..., S] of the intervals between edges [..., S + 1]."""
    return 0.5 * (t_edges[..., 1:] + t_edges[..., :-1])


def whole_intervals(t_edges: Array) -> Intervals:
    """Intervals between edges [..., S + 1] of which every part counts."""
    return Intervals(t_edges, middles_of(t_edges), jnp.diff(t_edges, axis=-1))


def check_edges(t_edges: Array, values: Array) -> None:
    """Checks that `values` has one entry per interval of `t_edges`.

    Raises:
      ValueError: the numbers do not match.
    """
    if t_edges.shape[-1] != values.shape[-1] + 1:
        raise ValueError(
            f"expected one value per interval, [..., S + 1] edges and [..., S] values, "
            f"got {t_edges.shape} and {values.shape}"
        )


def stratified(keys: Array | None, batch: tuple[int, ...], num: int) -> Array:
    """Stratified sampling: increasing numbers in [0, 1), one in each of `num` equal strata.

    Args:
      keys: PRNG keys of shape `batch`, one per ray, so that a ray's samples do not
        depend on the device; None takes the middle of every stratum.
      batch: batch shape.
      num: number of strata.

    Returns:
      [*batch, num].
    """
    strata = jnp.arange(num, dtype=jnp.float32)
    if keys is None:
        return jnp.broadcast_to((strata + 0.5) / num, (*batch, num))
    flat = jax.vmap(lambda key: jax.random.uniform(key, (num,)))(keys.reshape(-1))
    return (strata + flat.reshape(*batch, num)) / num


def interval_quantiles(keys: Array | None, batch: tuple[int, ...], num: int) -> Array:
    """Edges of `num` intervals that cover [0, 1], with jittered inner edges.

    The first and the last interval reach to 0 and 1, so that the opacity of a ray does not depend
    on the number of intervals.

    Args:
      keys: PRNG keys of shape `batch`, or None for equal intervals.
      batch: batch shape.
      num: S.

    Returns:
      [*batch, S + 1], increasing; an inner edge moves by at most half an interval.
    """
    edges = stratified(keys, batch, num + 1) * (num + 1) / num - 0.5 / num
    return edges.at[..., 0].set(0.0).at[..., -1].set(1.0)


def uniform_edges(near: Array, far: Array, num: int, keys: Array | None) -> Array:
    """Edges of `num` intervals, uniform in t from near to far.

    Args:
      near: [..., 1] t of the first edge.
      far: [..., 1] t of the last edge.
      num: S.
      keys: [...] PRNG keys, or None for equal intervals.

    Returns:
      [..., S + 1] increasing edges.
    """
    return near + (far - near) * interval_quantiles(keys, near.shape[:-1], num)


def invert_cdf(t_edges: Array, weights: Array, quantiles: Array) -> Array:
    """Positions where the cumulative distribution of a step function reaches given quantiles.

    Args:
      t_edges: [..., P + 1] interval edges.
      weights: [..., P], at least 0; a ray whose weights are all 0 counts as uniform.
      quantiles: [..., Q] in [0, 1].

    Returns:
      [..., Q] positions t, increasing with the quantile. Quantile 0 is the start of the first
      interval of positive weight, quantile 1 the end of the last.

    Raises:
      ValueError: edges and weights do not match.
    """
    check_edges(t_edges, weights)
    total = jnp.sum(weights, -1, keepdims=True)
    widths = jnp.diff(t_edges, axis=-1)
    uniform = widths / jnp.sum(widths, -1, keepdims=True)
    pdf = jnp.where(total > 0, weights / jnp.where(total > 0, total, 1.0), uniform)
    cdf = jnp.cumsum(pdf, -1)
    cdf = cdf / cdf[..., -1:]  # exactly 1 from the last interval of positive weight on
    cdf = jnp.concatenate(
        [jnp.zeros_like(cdf[..., :1]), cdf[..., :-1], jnp.ones_like(cdf[..., :1])], -1
    )

    def invert(edges, cumulative, u):
        right = jnp.where(
            u < 1.0,
            jnp.searchsorted(cumulative, u, side="right"),
            jnp.searchsorted(cumulative, u, side="left"),
        )
        right = jnp.clip(right, 1, edges.shape[0] - 1)
        low, high = cumulative[right - 1], cumulative[right]
        share = jnp.where(high > low, (u - low) / jnp.where(high > low, high - low, 1.0), 0.0)
        return edges[right - 1] + jnp.clip(share, 0.0, 1.0) * (edges[right] - edges[right - 1])

    flat = (a.reshape(-1, a.shape[-1]) for a in (t_edges, cdf, quantiles))
    return jax.vmap(invert)(*flat).reshape(quantiles.shape)


def importance_edges(t_edges: Array, weights: Array, num: int, keys: Array | None) -> Array:
    """Importance sampling: edges of `num` intervals drawn from a step function.

    Args:
      t_edges: [..., P + 1] interval edges of the step function.
      weights: [..., P], at least 0.
      num: S.
      keys: [...] PRNG keys, or None for equal quantiles.

    Returns:
      [..., S + 1] increasing edges over all intervals of positive weight, without gradient.

    Source: NeRF (arXiv:2003.08934) section 5.2. Choice: as in mip-NeRF, only the drawn intervals
    are evaluated, without the intervals of `t_edges`.
    """
    quantiles = interval_quantiles(keys, t_edges.shape[:-1], num)
    return jax.lax.stop_gradient(invert_cdf(t_edges, weights, quantiles))


def blur_weights(weights: Array) -> Array:
    """Widens weights [..., S] by the maximum of neighbours, then their mean.

    Intervals drawn from the result contain a thin surface despite sampling errors.

    Source: mip-NeRF (arXiv:2103.13415) equation 18.
    """
    padded = jnp.concatenate([weights[..., :1], weights, weights[..., -1:]], -1)
    highest = jnp.maximum(padded[..., :-1], padded[..., 1:])
    return 0.5 * (highest[..., :-1] + highest[..., 1:])
