"""Generated views as one picture, the form that `data.kind=strip` reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from jaxvsnerf.errors import InputError


def join_views(views: np.ndarray) -> np.ndarray:
    """Views side by side without gutters, in the order they come in.

    Args:
      views: [V, H, W, 3].

    Returns:
      [H, V W, 3] of the same type.

    Raises:
      ValueError: another shape.
    """
    if views.ndim != 4 or views.shape[-1] != 3:
        raise InputError(f"expected views [V, H, W, 3], got {views.shape}")
    count, height, width, channels = views.shape
    return views.transpose(1, 0, 2, 3).reshape(height, count * width, channels)


def rank_samples(
    samples: Sequence[np.ndarray], score: Callable[[np.ndarray], float]
) -> tuple[list[int], list[float]]:
    """Which of several samples of one photo agrees best with itself.

    Args:
      samples: each [V, H, W, 3] uint8.
      score: of one sample's views, the larger the more consistent.

    Returns:
      (indices of the samples, best first; their scores in that order). Samples of one score
      keep their order.

    Raises:
      ValueError: a score is NaN.
    """
    scores = [float(score(views)) for views in samples]
    if any(np.isnan(value) for value in scores):
        raise InputError(f"expected scores of {len(scores)} samples to be numbers, got {scores}")
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return order, [scores[index] for index in order]
