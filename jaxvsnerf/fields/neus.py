"""NeuS: from a signed distance to the optical depth of sections of a ray.

Source: NeuS (arXiv:2106.10689) equations 10 to 13, in log space: no epsilon, and no loss of digits
far from the surface.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxvsnerf.types import Array

# Names of the outputs beside colour: [..., S, 1] signed distances and [..., S, 3] unit normals.
DISTANCE, NORMAL = "distance", "normal"


def facing(cosine: Array, anneal: Array | None = None) -> Array:
    """The cosine between a ray and the distance's gradient, as sections use it: at most 0.

    Surfaces seen from behind add nothing. Early in a training without masks half of each cosine's
    sign is forgiven, so that gradients reach surfaces that face away.

    Args:
      cosine: [...] d . grad f; the gradient is not normalised.
      anneal: [] 0 forgives, 1 or None does not.

    Returns:
      [...], at most 0.

    Source: NeuS's published code; not in the paper.
    """
    if anneal is None:
        return -jax.nn.relu(-cosine)
    forgiving = jax.nn.relu(0.5 - 0.5 * cosine)
    return -(forgiving * (1.0 - anneal) + jax.nn.relu(-cosine) * anneal)


def section_depth(distance: Array, cosine: Array, lengths: Array, sharpness: Array) -> Array:
    """Optical depth of sections of a ray: max(0, log Phi(f_before) - log Phi(f_behind)).

    Args:
      distance: [..., S] signed distance f at the sections' middles, positive outside.
      cosine: [..., S] change of f per length along the ray, see `facing`.
      lengths: [..., S] lengths of the sections.
      sharpness: s in Phi(f) = 1 / (1 + exp(-s f)).

    Returns:
      [..., S], at least 0: -log(1 - alpha). All depths of a ray that enters a body sum to
      log Phi(f_first) - log Phi(f_last).
    """
    half = 0.5 * cosine * lengths
    before = jax.nn.log_sigmoid(sharpness * (distance - half))
    behind = jax.nn.log_sigmoid(sharpness * (distance + half))
    return jax.nn.relu(before - behind)


def head_on_density(distance: Array, sharpness: Array) -> Array:
    """Optical depth per length of a ray that meets the surface head-on: s (1 - Phi(f)).

    Args:
      distance: [...] signed distance, with a gradient of length 1.
      sharpness: s.

    Returns:
      [...], below s; the largest that any direction gives.

    Source: NeuS (arXiv:2106.10689) equation 10 for a cosine of -1.
    """
    return sharpness * jax.nn.sigmoid(-sharpness * distance)


def unit(vectors: Array) -> Array:
    """Vectors [..., 3] divided by their lengths; 0 stays 0, with a finite gradient."""
    return vectors * jax.lax.rsqrt(jnp.sum(vectors**2, -1, keepdims=True) + 1e-12)
