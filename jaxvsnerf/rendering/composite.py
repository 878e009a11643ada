"""Alpha compositing in log space, from optical depth."""

from __future__ import annotations

import jax.numpy as jnp

from jaxvsnerf.rendering.intervals import Intervals, check_edges
from jaxvsnerf.types import Array, FieldOut, Rendering


def alpha_weights(optical_depth: Array) -> Array:
    """Compositing weights, opacity times transmittance: (1 - exp(-tau_i)) exp(-sum_{j<i} tau_j).

    Args:
      optical_depth: [..., S] tau, at least 0.

    Returns:
      [..., S] weights, with sum 1 - exp(-sum_i tau_i).

    Source: paper, rendering equation; NeRF (arXiv:2003.08934) equation 3.
    """
    before = jnp.cumsum(optical_depth[..., :-1], -1)
    before = jnp.concatenate([jnp.zeros_like(optical_depth[..., :1]), before], -1)
    return -jnp.expm1(-optical_depth) * jnp.exp(-before)


def composite(out: FieldOut, intervals: Intervals, far: Array, background: Array) -> Rendering:
    """Composites a field's output along rays.

    Args:
      out: optical_depth [..., S], rgb [..., S, 3], extras [..., S, C].
      intervals: [..., S] intervals.
      far: [..., 1] distance given to rays that hit nothing.
      background: [3] or [..., 3] colour behind the object.

    Returns:
      Rendering on the background.

    Raises:
      ValueError: intervals and optical depths do not match.
    """
    check_edges(intervals.edges, out.optical_depth)
    weights = alpha_weights(out.optical_depth)
    acc = -jnp.expm1(-jnp.sum(out.optical_depth, -1))

    def accumulate(values: Array) -> Array:
        return jnp.sum(weights[..., None] * values, -2)

    mean = jnp.sum(weights * intervals.middles, -1) / jnp.maximum(jnp.sum(weights, -1), 1e-9)
    return Rendering(
        rgb=accumulate(out.rgb) + (1.0 - acc)[..., None] * background,
        acc=acc,
        distance=jnp.where(acc > 1e-6, mean, far[..., 0]),
        weights=weights,
        t_edges=intervals.edges,
        middles=intervals.middles,
        extras={name: accumulate(values) for name, values in out.extras.items()},
        out=out,
    )
