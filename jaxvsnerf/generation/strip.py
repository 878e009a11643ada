"""Generated views joined to one picture, the format that `data.kind=strip` reads; ranking."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def join_views(views: np.ndarray) -> np.ndarray:
    """Joins views side by side in their order, without gutters.

    Args:
      views: [V, H, W, 3].

    Returns:
      [H, V W, 3] of the same dtype.

    Raises:
      ValueError: the shape is not [V, H, W, 3].
    """
    if views.ndim != 4 or views.shape[-1] != 3:
        raise ValueError(f"expected views [V, H, W, 3], got {views.shape}")
    count, height, width, channels = views.shape
    return views.transpose(1, 0, 2, 3).reshape(height, count * width, channels)


def rank_samples(
    samples: Sequence[np.ndarray], score: Callable[[np.ndarray], float]
) -> tuple[list[int], list[float]]:
    """Ranks several samples of one photo by the consistency of their views.

    Args:
      samples: each [V, H, W, 3] uint8.
      score: rates one sample's views; larger is more consistent.

    Returns:
      Indices of the samples, best first, and their scores in that order. Samples of equal score
      keep their order.

    Raises:
      ValueError: a score is NaN.
    """
    scores = [float(score(views)) for views in samples]
    if any(np.isnan(value) for value in scores):
        raise ValueError(f"expected scores of {len(scores)} samples to be numbers, got {scores}")
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return order, [scores[index] for index in order]
