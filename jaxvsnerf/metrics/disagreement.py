"""Where a view claims something else than all views together."""

from __future__ import annotations

import numpy as np


def disagreement(own: np.ndarray, consensus: np.ndarray) -> np.ndarray:
    """How far a view's own branch is from the views' consensus.

    Args:
      own: [..., 3] what the view's branch renders, in [0, 1].
      consensus: [..., 3] what all views together render there.

    Returns:
      [...] float32 root mean square over the channels.

    Raises:
      ValueError: shapes differ.
    """
    own, consensus = np.asarray(own, np.float32), np.asarray(consensus, np.float32)
    if own.shape != consensus.shape:
        raise ValueError(f"expected pictures of one shape, got {own.shape} and {consensus.shape}")
    return np.sqrt(np.mean((own - consensus) ** 2, -1))
