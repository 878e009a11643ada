"""Structural similarity as torchmetrics computes it, accurate in float32.

The usual form computes variances as E[x^2] - E[x]^2, which on a white background subtracts
two numbers near 1 and is off by 1.4e-4 in float32. Here moments are centred before they
are squared, one axis at a time, by the law of total covariance:

    rows:     m = E_x[p],   c = E_x[(p - m)(q - n)]
    columns:  M = E_y[m],   C = E_y[c + (m - M)(n - N)]

C equals the covariance under the separable 11 x 11 window. The code uses only shifts, products
and sums: no convolution or matrix product whose precision a GPU or TPU could lower.
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from jaxvsnerf.errors import InputError
from jaxvsnerf.metrics.psnr import check_pair
from jaxvsnerf.types import Array

SIGMA = 1.5
RADIUS = 5
K1, K2 = 0.01, 0.03


def ssim(
    image: Array, truth: Array, *, crop: int = 0, data_range: float | Array | None = None
) -> Array:
    """Mean SSIM of each picture over a Gaussian window of 11 taps, sigma 1.5.

    Args:
      image: [..., H, W, 3].
      truth: the same shape.
      crop: border of the SSIM map, in pixels, left out of the mean: 5 in torchmetrics up to
        1.4.0, 0 in later versions.
      data_range: span of the values, a number or an array [...]; None uses that of each pair,
        max(image.max() - image.min(), truth.max() - truth.min()).

    Returns:
      [...] float32 in [-1, 1].

    Raises:
      ValueError: shapes differ or are not [..., H, W, 3].
      InputError: a side is under 6 pixels (the border is mirrored 5 pixels deep), `crop` is
        negative, or `crop` leaves no pixel.

    Source: Wang et al. 2004, eq. 13; torchmetrics StructuralSimilarityIndexMeasure.
    """
    image, truth = jnp.asarray(image, jnp.float32), jnp.asarray(truth, jnp.float32)
    check_pair(image, truth)
    height, width = image.shape[-3:-1]
    if min(height, width) <= max(RADIUS, 2 * crop) or crop < 0:
        raise InputError(
            f"ssim needs more than {max(RADIUS, 2 * crop)} pixels a side and crop >= 0, got "
            f"pictures {width} x {height} (width x height) and crop={crop}"
        )
    span = _pair_range(image, truth) if data_range is None else jnp.asarray(data_range)
    similarity = _ssim_map(image, truth, span[..., None, None, None])
    kept = similarity[..., crop : height - crop, crop : width - crop, :]
    return kept.mean(-1).mean(-1).mean(-1)


def _pair_range(image: Array, truth: Array) -> Array:
    """[...] larger span of values of the two pictures.

    Choice: 1 if both pictures are flat, where torchmetrics divides 0 by 0.
    """
    axes = (-3, -2, -1)
    span = jnp.maximum(jnp.ptp(image, axis=axes), jnp.ptp(truth, axis=axes))
    return jnp.where(span > 0, span, 1.0)


def _ssim_map(image: Array, truth: Array, span: Array) -> Array:
    """[..., H, W, C] SSIM around every pixel and channel."""
    mean, mean_truth, cross = _local_moments(image, truth)
    variance = _local_moments(image, image)[2] + _local_moments(truth, truth)[2]
    c1, c2 = jnp.square(K1 * span), jnp.square(K2 * span)
    luminance = (2 * mean * mean_truth + c1) / (mean**2 + mean_truth**2 + c1)
    return luminance * (2 * cross + c2) / (variance + c2)


def _local_moments(first: Array, second: Array) -> tuple[Array, Array, Array]:
    """Local means and covariance under the window, borders mirrored.

    Args:
      first, second: [..., H, W, C].

    Returns:
      Two means and the covariance, each [..., H, W, C].
    """
    zero = jnp.zeros_like(first)
    return _reduce_axis(*_reduce_axis(first, second, zero, axis=-2), axis=-3)


def _reduce_axis(
    first: Array, second: Array, covariance: Array, *, axis: int
) -> tuple[Array, Array, Array]:
    """Applies the law of total covariance (module docstring) along one axis."""
    weights = _window()
    taps_1, taps_2 = _shifted(first, axis), _shifted(second, axis)
    mean_1 = sum(w * tap for w, tap in zip(weights, taps_1, strict=True))
    mean_2 = sum(w * tap for w, tap in zip(weights, taps_2, strict=True))
    spread = sum(
        w * (within + (tap_1 - mean_1) * (tap_2 - mean_2))
        for w, within, tap_1, tap_2 in zip(
            weights, _shifted(covariance, axis), taps_1, taps_2, strict=True
        )
    )
    return mean_1, mean_2, spread


def _window() -> list[float]:
    """The 11 Gaussian weights, summing to 1."""
    weights = [math.exp(-0.5 * (k / SIGMA) ** 2) for k in range(-RADIUS, RADIUS + 1)]
    return [weight / sum(weights) for weight in weights]


def _shifted(image: Array, axis: int) -> list[Array]:
    """Shifts the picture by -5 .. 5 pixels along `axis`, mirrored at the border."""
    widths = [(0, 0)] * image.ndim
    widths[axis] = (RADIUS, RADIUS)
    padded = jnp.pad(image, widths, mode="reflect")
    size = image.shape[axis]
    index = [slice(None)] * image.ndim
    shifts = []
    for k in range(2 * RADIUS + 1):
        index[axis] = slice(k, k + size)
        shifts.append(padded[tuple(index)])
    return shifts
