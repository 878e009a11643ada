"""NeuS's up-sampling: positions along rays near the zero set of a signed distance."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxvsnerf.fields.neus import section_depth
from jaxvsnerf.rendering.composite import alpha_weights
from jaxvsnerf.rendering.intervals import invert_cdf, stratified
from jaxvsnerf.types import Array

# Added to every section's weight, and largest slope of a distance, as in NeuS's code.
LEAST_WEIGHT, STEEPEST = 1e-5, 1e3


def section_weights(t: Array, distance: Array, sharpness: float) -> Array:
    """Compositing weights of the sections between points of a ray.

    Args:
      t: [..., P] increasing positions.
      distance: [..., P] signed distances there.
      sharpness: s, fixed.

    Returns:
      [..., P - 1]. A section's slope is the smaller of its own and the one before, so that both
      sides of a thin body count.

    Source: NeuS's published code.
    """
    lengths = jnp.diff(t, axis=-1)
    slope = jnp.diff(distance, axis=-1) / (lengths + 1e-5)
    before = jnp.concatenate([jnp.zeros_like(slope[..., :1]), slope[..., :-1]], -1)
    slope = jnp.clip(jnp.minimum(slope, before), -STEEPEST, 0.0)
    middles = 0.5 * (distance[..., 1:] + distance[..., :-1])
    return alpha_weights(section_depth(middles, slope, lengths, sharpness))


def upsample(t: Array, distance: Array, num: int, sharpness: float) -> Array:
    """New positions near a surface, without gradient.

    Args:
      t: [..., P] increasing positions.
      distance: [..., P] signed distances there.
      num: number of new positions.
      sharpness: s, fixed.

    Returns:
      [..., num] positions at equal quantiles of the weights of the sections between the points.
    """
    weights = section_weights(t, distance, sharpness) + LEAST_WEIGHT
    quantiles = stratified(None, t.shape[:-1], num)
    return jax.lax.stop_gradient(invert_cdf(t, weights, quantiles))
