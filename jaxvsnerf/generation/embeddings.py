"""Embeddings of the diffusion step and of viewpoints relative to the photo's."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxvsnerf.generation.spec import NUM_VIEWS
from jaxvsnerf.types import Array

MAX_PERIOD = 10_000.0
TARGET_ELEVATION_DEG = 30.0


def sinusoid(steps: Array, dim: int) -> Array:
    """Sinusoidal embedding of diffusion steps.

    Args:
      steps: [...] indices of the 1000 diffusion steps, not scaled.
      dim: even number of features.

    Returns:
      [..., dim] float32: cosines, then sines, of steps * MAX_PERIOD ** (-i / (dim / 2)).
    """
    half = dim // 2
    # Exponents are float32 as in the original: a step of 981 magnifies a rate's rounding error.
    exponents = np.arange(half, dtype=np.float32) * np.float32(-np.log(MAX_PERIOD)) / half
    rates = np.exp(exponents.astype(np.float64)).astype(np.float32)
    angles = jnp.asarray(steps, jnp.float32)[..., None] * rates
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], -1)


def viewpoints(elevation_rad: Array) -> Array:
    """SyncDreamer's embedding of the 16 target views relative to the photo.

    Args:
      elevation_rad: [...] elevation in radians of the photo's camera above the horizon.

    Returns:
      [..., 16, 4] float32: difference of polar angles in radians, sine and cosine of the azimuth,
      0 (difference of distances).
    """
    elevation = jnp.asarray(elevation_rad, jnp.float32)[..., None]
    azimuth = 2.0 * jnp.pi * jnp.arange(NUM_VIEWS, dtype=jnp.float32) / NUM_VIEWS
    azimuth = jnp.broadcast_to(azimuth, (*elevation.shape[:-1], NUM_VIEWS))
    polar = jnp.broadcast_to(elevation - jnp.deg2rad(TARGET_ELEVATION_DEG), azimuth.shape)
    return jnp.stack([polar, jnp.sin(azimuth), jnp.cos(azimuth), jnp.zeros_like(azimuth)], -1)


def relative_camera(d_polar: Array, d_azimuth: Array, d_radius: Array) -> Array:
    """Zero-1-to-3's embedding of a novel view relative to the photo.

    Args:
      d_polar: [...] difference of polar angles in radians, positive for a lower novel camera.
      d_azimuth: [...] difference of azimuths in radians.
      d_radius: [...] difference of the distances to the object.

    Returns:
      [..., 4] float32: d_polar, sin(d_azimuth), cos(d_azimuth), d_radius.
    """
    parts = [d_polar, jnp.sin(d_azimuth), jnp.cos(d_azimuth), d_radius]
    return jnp.stack([jnp.asarray(part, jnp.float32) for part in parts], -1)
