"""Peak signal-to-noise ratio of two batches of pictures."""

from __future__ import annotations

import jax.numpy as jnp

from jaxvsnerf.types import Array


def check_pair(image: Array, truth: Array) -> None:
    """Refuses pictures that cannot be compared pixel by pixel.

    Raises:
      ValueError: the shapes differ or are not [..., H, W, 3].
    """
    if image.shape != truth.shape:
        raise ValueError(
            f"pictures and truth must have one shape, got {image.shape} and {truth.shape}; "
            "render at the truth's size"
        )
    if image.ndim < 3 or image.shape[-1] != 3:
        raise ValueError(
            f"expected pictures [..., H, W, 3], got {image.shape}; composite RGBA pictures first"
        )


def psnr(image: Array, truth: Array) -> Array:
    """PSNR of each picture, in decibels, for values in [0, 1].

    Args:
      image: [..., H, W, 3] in [0, 1].
      truth: the same shape.

    Returns:
      [...] float32, inf for identical pictures.

    Raises:
      ValueError: the shapes differ or are not [..., H, W, 3].

    Source: -10 log10(mean squared error), for a peak of 1.
    """
    image, truth = jnp.asarray(image, jnp.float32), jnp.asarray(truth, jnp.float32)
    check_pair(image, truth)
    # One axis at a time: a single float32 sum over a million pixels loses digits.
    error = jnp.square(image - truth).mean(-1).mean(-1).mean(-1)
    return -10.0 * jnp.log10(error)
