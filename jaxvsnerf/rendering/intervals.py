"""Step functions along rays: S intervals are S + 1 increasing edges, in float32."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxvsnerf.types import Array


def check_edges(t_edges: Array, values: Array) -> None:
    """Raises ValueError unless `values` has one entry per interval of `t_edges`."""
    if t_edges.shape[-1] != values.shape[-1] + 1:
        raise ValueError(
            f"expected one value per interval, [..., S + 1] edges and [..., S] values, "
            f"got {t_edges.shape} and {values.shape}"
        )


def stratified(keys: Array | None, batch: tuple[int, ...], num: int) -> Array:
    """Increasing numbers in [0, 1), one in each of `num` equal strata.

    Args:
      keys: PRNG keys of shape `batch`, one per ray, so that a ray's samples do not
        depend on which device holds it; None puts every number mid-stratum.
      batch: batch shape.
      num: strata.

    Returns:
      [*batch, num].
    """
    strata = jnp.arange(num, dtype=jnp.float32)
    if keys is None:
        return jnp.broadcast_to((strata + 0.5) / num, (*batch, num))
    flat = jax.vmap(lambda key: jax.random.uniform(key, (num,)))(keys.reshape(-1))
    return (strata + flat.reshape(*batch, num)) / num


def interval_quantiles(keys: Array | None, batch: tuple[int, ...], num: int) -> Array:
    """Edges of `num` intervals over [0, 1]: both ends, the inner ones jittered.

    Nothing before the first or after the last inner edge is left out, so that opacity does
    not depend on how many intervals there are.

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
      near: [..., 1].
      far: [..., 1].
      num: S.
      keys: [...] PRNG keys or None.

    Returns:
      [..., S + 1].
    """
    return near + (far - near) * interval_quantiles(keys, near.shape[:-1], num)


def invert_cdf(t_edges: Array, weights: Array, quantiles: Array) -> Array:
    """Where the cumulative distribution of a step function reaches given quantiles.

    Args:
      t_edges: [..., P + 1].
      weights: [..., P], not negative; a ray whose weights are all zero counts as uniform.
      quantiles: [..., Q] in [0, 1].

    Returns:
      [..., Q]; increasing where the quantiles are; 0 is where the weight begins, 1 where it
      ends.

    Raises:
      ValueError: edges and weights do not match.
    """
    check_edges(t_edges, weights)
    total = jnp.sum(weights, -1, keepdims=True)
    widths = jnp.diff(t_edges, axis=-1)
    uniform = widths / jnp.sum(widths, -1, keepdims=True)
    pdf = jnp.where(total > 0, weights / jnp.where(total > 0, total, 1.0), uniform)
    cdf = jnp.cumsum(pdf, -1)
    cdf = cdf / cdf[..., -1:]  # exactly 1 from the last interval with weight on
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
    """Edges of `num` intervals from where a step function begins to where it ends.

    Args:
      t_edges: [..., P + 1].
      weights: [..., P].
      num: S.
      keys: [...] PRNG keys or None.

    Returns:
      [..., S + 1] increasing edges; no gradient flows through them.

    Source: NeRF (arXiv:2003.08934) section 5.2. Choice: as mip-NeRF, the drawn intervals
    are evaluated alone and not united with those they were drawn from.
    """
    quantiles = interval_quantiles(keys, t_edges.shape[:-1], num)
    return jax.lax.stop_gradient(invert_cdf(t_edges, weights, quantiles))


def blur_weights(weights: Array) -> Array:
    """Widens a step function by a max over neighbours, then a mean.

    Keeps a thin surface inside the drawn intervals. Source: mip-NeRF
    (arXiv:2103.13415) equation 18.
    """
    padded = jnp.concatenate([weights[..., :1], weights, weights[..., -1:]], -1)
    highest = jnp.maximum(padded[..., :-1], padded[..., 1:])
    return 0.5 * (highest[..., :-1] + highest[..., 1:])
