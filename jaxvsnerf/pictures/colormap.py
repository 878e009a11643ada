"""Colour map viridis: perceptually uniform and readable without colour vision."""

from __future__ import annotations

import numpy as np

# Sixteen even steps of matplotlib's viridis (CC0), sRGB; linear interpolation between the steps
# stays within 0.03 of the full table.
_VIRIDIS = (
    "440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e "
    "1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725"
)


def viridis(values: np.ndarray) -> np.ndarray:
    """Maps numbers in [0, 1] to colours, dark violet at 0, yellow at 1.

    Args:
      values: [...], clipped to [0, 1].

    Returns:
      [..., 3] float32 in [0, 1], sRGB.
    """
    anchors = np.array([list(bytes.fromhex(step)) for step in _VIRIDIS.split()]) / 255.0
    at = np.linspace(0.0, 1.0, len(anchors))
    values = np.clip(np.asarray(values, np.float64), 0.0, 1.0)
    channels = [np.interp(values, at, anchors[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)
