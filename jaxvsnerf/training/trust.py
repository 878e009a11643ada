"""How far each view is trusted."""

from __future__ import annotations

import numpy as np

# Of a real SyncDreamer strip (`chicken`) a view's squared error against the truth is proportional
# to NEAR + sin(angle / 2), with its angle from the input view: 0.44 dB off in the root mean square,
# 0.9 at most.
NEAR = 0.25


def view_trust(
    axes: np.ndarray,
    input_axis: np.ndarray | None,
    power: float,
    photo_weight: float | None = None,
) -> np.ndarray:
    """Weights of the views' rays in the loss: less for what a generator saw less of.

    Args:
      axes: [V, 3] unit optical axes of the views.
      input_axis: [3] that of the picture the generator was given, or None where unknown.
      power: at least 0, which trusts all views alike; 1 weighs by the inverse of the expected
        squared error.
      photo_weight: of the photo itself as the last of the views, relative to a view that shows
        just what the photo shows; None where the views are all generated.

    Returns:
      [V] float32, of mean 1.

    Choice: the paper trusts all views alike.
    """
    if input_axis is None:
        return np.ones(len(axes), np.float32)
    # sin(angle / 2), from cos(angle) = 1 - 2 sin(angle / 2)^2.
    half_sine = np.sqrt(np.clip((1.0 - np.asarray(axes) @ np.asarray(input_axis)) / 2.0, 0.0, 1.0))
    weights = (NEAR + half_sine) ** -power
    if photo_weight is not None:
        weights[-1] = photo_weight * NEAR**-power
    return (weights / weights.mean()).astype(np.float32)
