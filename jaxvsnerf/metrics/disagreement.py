"""Where a view claims something else than all views together."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

# Generated outlines are off by about a pixel everywhere: differences are averaged over this share
# of a picture's height, a pixel of 256.
SIGMA = 1 / 256


def disagreement(pictures: np.ndarray, consensus: np.ndarray) -> np.ndarray:
    """How far pictures are from what all views together show there.

    Args:
      pictures: [V, height, width, 3] the views as they came, in [0, 1].
      consensus: [V, height, width, 3] what the model renders at their cameras.

    Returns:
      [V, height, width] float32 root mean square over the channels, blurred by `SIGMA`.

    Raises:
      ValueError: shapes differ.

    Choice: the picture, not the rendering of the view's own branch, which holds part of what the
    view claims alone: see docs/method.md for how well each finds simulated damage.
    """
    pictures, consensus = np.asarray(pictures, np.float32), np.asarray(consensus, np.float32)
    if pictures.shape != consensus.shape:
        raise ValueError(
            f"expected pictures of one shape, got {pictures.shape} and {consensus.shape}"
        )
    off = np.sqrt(np.mean((pictures - consensus) ** 2, -1))
    sigma_px = SIGMA * off.shape[1]
    return gaussian_filter(off, (0.0, sigma_px, sigma_px))


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Area under the ROC curve: how often a positive scores above a negative, ties half.

    Args:
      scores: any shape.
      positive: bool of the same shape.

    Returns:
      A number in [0, 1]; None where all are positive or none is.
    """
    scores, positive = np.ravel(scores), np.ravel(positive)
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return None
    # Mann and Whitney: from the sum of the positives' ranks.
    ranks = rankdata(scores)[positive].sum()
    return float((ranks - count * (count + 1) / 2) / (count * others))
