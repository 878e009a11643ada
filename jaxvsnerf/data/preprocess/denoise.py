"""Noise in the pictures: how much there is, and non-local means against it."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_erosion, convolve, uniform_filter

from jaxvsnerf.extras import require

# Noise below this, in the range of colours, is left alone: what pictures show as fine detail.
LEAST_NOISE = 0.02
# Immerkaer (1996), "Fast noise variance estimation": blind to what is linear; of white noise of
# deviation 1 it makes 6.
MASK = np.array([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]]) / 6.0
# Its deviation is taken in windows of this side, of which this share is the smoothest.
WINDOW, SMOOTHEST = 9, 0.1
# Non-local means: sides of patches and of half the window searched; strength over the noise.
PATCH, DISTANCE, STRENGTH = 5, 6, 0.8


def noise_level(image: np.ndarray, mask: np.ndarray) -> float:
    """Standard deviation of white noise on the object, in the range of colours.

    From where the picture is smoothest, so that texture is not taken for noise.

    Args:
      image: [height, width, 3] in [0, 1].
      mask: [height, width] opacity.

    Returns:
      At least 0; 0 where too little of the object is seen.
    """
    inside = binary_erosion(mask > 0.9, iterations=2)
    whole = uniform_filter(inside.astype(np.float64), WINDOW) > 0.999
    if not whole.any():
        return 0.0
    response = convolve(image.astype(np.float64), MASK[..., None], mode="nearest")
    power = uniform_filter(response**2, (WINDOW, WINDOW, 0)).mean(-1)
    return float(np.sqrt(np.quantile(power[whole], SMOOTHEST)))


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
