"""Estimates white noise in pictures and removes the noise by non-local means."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_erosion, convolve, uniform_filter

from jaxvsnerf.system.extras import require

# Noise below this in the median view is not removed (standard deviation, colours in [0, 1]).
LEAST_NOISE = 0.02
# Source: Immerkaer (1996), "Fast noise variance estimation". The kernel responds to no linear
# gradient; division by 6 keeps the standard deviation of white noise.
MASK = np.array([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]]) / 6.0
# Side of the windows in which the response is measured and their distance from the silhouette,
# in pixels (at full size, at half size), and the quantile that picks the smoothest windows.
WINDOWS, MARGINS, SMOOTHEST = (9, 5), (2, 1), 0.1
# Halving the size halves white noise but not texture: up to this ratio (half size over full size)
# the response counts as noise.
HALF = 0.75
# White noise differs from channel to channel; moss, gravel and fur are light and dark in all
# channels. From this correlation between the channels on, the response is not taken for noise.
SHARED = 0.5
# Non-local means: patch side and search radius in pixels, filter strength in noise deviations.
PATCH, DISTANCE, STRENGTH = 5, 6, 0.8


def noise_level(image: np.ndarray, mask: np.ndarray) -> float:
    """Standard deviation of white noise on the object, for colours in [0, 1].

    Measured where the picture is smoothest, and only if weaker at half the size and different in
    the three channels, so that texture is not taken for noise. Grain that is the same in all
    channels stays, too: nothing in one picture tells grain from texture, and texture that is
    smoothed away is the greater loss.

    Args:
      image: [height, width, 3] in [0, 1].
      mask: [height, width] opacity.

    Returns:
      At least 0; 0 if the object is too small to measure or the response may be texture.
    """
    level, shared = _roughness(image, mask, WINDOWS[0], MARGINS[0])
    height, width = (side // 2 for side in mask.shape)
    quarters = (height, 2, width, 2)
    smaller = image[: 2 * height, : 2 * width].reshape(*quarters, 3).mean((1, 3))
    inside = mask[: 2 * height, : 2 * width].reshape(quarters).min((1, 3))
    coarse, _ = _roughness(smaller, inside, WINDOWS[1], MARGINS[1])
    return level if 0.0 < coarse <= HALF * level and shared < SHARED else 0.0


def _roughness(
    image: np.ndarray, mask: np.ndarray, window: int, margin: int
) -> tuple[float, float]:
    """Noise kernel's response in the object's smoothest windows.

    Returns:
      Its standard deviation, and the mean correlation between its channels.
    """
    inside = binary_erosion(mask > 0.9, iterations=margin)
    whole = uniform_filter(inside.astype(np.float64), window) > 0.999
    if not whole.any():
        return 0.0, 0.0
    response = convolve(image.astype(np.float64), MASK[..., None], mode="nearest")
    power = uniform_filter(response**2, (window, window, 0)).mean(-1)
    level = np.quantile(power[whole], SMOOTHEST)
    # Rounding in running sums leaves flat colours slightly below 0.
    if level <= 0.0:
        return 0.0, 0.0
    smooth = whole & (power <= level)
    common = uniform_filter(response.mean(-1) ** 2, window)
    # Of three equally strong channels: 1/3 if independent, 1 if the same.
    share = common[smooth].mean() / power[smooth].mean()
    return float(np.sqrt(level)), float(1.5 * share - 0.5)


def remove_noise(image: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Removes white noise of a known standard deviation.

    Args:
      image: [height, width, 3] in [0, 1].
      mask: [height, width] opacity.
      sigma: standard deviation of the noise, positive.

    Returns:
      [height, width, 3] float32; the background is unchanged, bit for bit.

    Raises:
      MissingExtra: scikit-image is missing.

    Source: Buades, Coll and Morel (2005), by scikit-image.
    """
    restoration = require("skimage.restoration", "removing noise")
    smooth = restoration.denoise_nl_means(
        image.astype(np.float32),
        patch_size=PATCH,
        patch_distance=DISTANCE,
        h=STRENGTH * sigma,
        sigma=sigma,
        fast_mode=True,
        channel_axis=-1,
    )
    opacity = mask[..., None]
    mixed = image + opacity * (smooth - image)
    return np.where(opacity > 0, np.clip(mixed, 0.0, 1.0), image).astype(np.float32)
