"""Maps of where a view contradicts the consensus of all views."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

# Standard deviation of the blur, as a share of the picture's height (1 px at 256): generated
# outlines are off by about a pixel everywhere.
SIGMA = 1 / 256


def disagreement(pictures: np.ndarray, consensus: np.ndarray) -> np.ndarray:
    """Difference between the input views and the model's rendering of the same cameras.

    Args:
      pictures: [V, height, width, 3] input views before preparation, in [0, 1].
      consensus: [V, height, width, 3] the model's renderings at the views' cameras.

    Returns:
      [V, height, width] float32 root mean square over the channels, blurred by `SIGMA`.

    Raises:
      ValueError: shapes differ.

    Choice: compares the picture, not the rendering of the view's own branch, which holds only
    part of the view's own claims; docs/method.md says how well each finds simulated damage.
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
    """Area under the ROC curve: probability that a positive outscores a negative, ties half.

    Args:
      scores: any shape.
      positive: bool of the same shape.

    Returns:
      A number in [0, 1]; None if all are positive or none is.
    """
    scores, positive = np.ravel(scores), np.ravel(positive)
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return None
    # Mann-Whitney U statistic, from the sum of the positives' ranks.
    ranks = rankdata(scores)[positive].sum()
    return float((ranks - count * (count + 1) / 2) / (count * others))
