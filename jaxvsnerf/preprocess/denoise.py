"""Noise in the pictures: how much there is, and non-local means against it."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_erosion, convolve, uniform_filter

from jaxvsnerf.system.extras import require

# Noise below this in the median view, in the range of colours, is left alone.
LEAST_NOISE = 0.02
# Immerkaer (1996), "Fast noise variance estimation": blind to what is linear; of white noise of
# deviation 1 it makes 6.
MASK = np.array([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]]) / 6.0
# Its deviation is taken in windows of this side (at half the size, of the second), so far inside
# the silhouette, and of these windows of the share that is the smoothest.
WINDOWS, MARGINS, SMOOTHEST = (9, 5), (2, 1), 0.1
# At half the size white noise is half as strong, and texture is not: up to this share it is noise.
HALF = 0.75
# Non-local means: sides of patches and of half the window searched; strength over the noise.
PATCH, DISTANCE, STRENGTH = 5, 6, 0.8


def noise_level(image: np.ndarray, mask: np.ndarray) -> float:
    """Standard deviation of white noise on the object, in the range of colours.

    From where the picture is smoothest, and only what is weaker at half the size, so that texture
    is not taken for noise.

    Args:
      image: [height, width, 3] in [0, 1].
      mask: [height, width] opacity.

    Returns:
      At least 0; 0 where too little of the object is seen, or what there is may be texture.
    """
    level = _roughness(image, mask, WINDOWS[0], MARGINS[0])
    height, width = (side // 2 for side in mask.shape)
    quarters = (height, 2, width, 2)
    smaller = image[: 2 * height, : 2 * width].reshape(*quarters, 3).mean((1, 3))
    inside = mask[: 2 * height, : 2 * width].reshape(quarters).min((1, 3))
    coarse = _roughness(smaller, inside, WINDOWS[1], MARGINS[1])
    return level if 0.0 < coarse <= HALF * level else 0.0


def _roughness(image: np.ndarray, mask: np.ndarray, window: int, margin: int) -> float:
    """Deviation of the smoothest windows of the object, as white noise would have it."""
    inside = binary_erosion(mask > 0.9, iterations=margin)
    whole = uniform_filter(inside.astype(np.float64), window) > 0.999
    if not whole.any():
        return 0.0
    response = convolve(image.astype(np.float64), MASK[..., None], mode="nearest")
    power = uniform_filter(response**2, (window, window, 0)).mean(-1)
    # Running sums leave flat colours slightly below 0.
    return float(np.sqrt(max(np.quantile(power[whole], SMOOTHEST), 0.0)))


def remove_noise(image: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """The picture without white noise of a known deviation.

    Args:
      image: [height, width, 3] in [0, 1].
      mask: [height, width] opacity.
      sigma: of the noise.

    Returns:
      [height, width, 3] float32; the background stays as it is, to the last bit.

    Raises:
      ImportError: scikit-image is missing.

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
