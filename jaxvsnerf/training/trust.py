"""Weights of the views in the loss, by the generator's expected error."""

from __future__ import annotations

import numpy as np

# Measured on a real SyncDreamer strip (`chicken`): a view's squared error against the truth is
# proportional to NEAR + sin(angle / 2), with the view's angle from the input view. The fit is off
# by 0.44 dB in the root mean square, by 0.9 dB at most.
NEAR = 0.25


def view_trust(
    axes: np.ndarray,
    input_axis: np.ndarray | None,
    power: float,
    given: np.ndarray | None = None,
    photo_weight: float | None = None,
) -> np.ndarray:
    """Weights of the views' rays in the loss, smaller for views far from the input view.

    Args:
      axes: [V, 3] unit optical axes of the generated views.
      input_axis: [3] unit optical axis of the generator's input picture, or None if unknown.
      power: at least 0; 0 weighs all views equally, 1 by the inverse of the expected squared
        error.
      given: [V] factors on the weights, at least 0 and not all 0, or None.
      photo_weight: weight of the photo's rays relative to a generated view with the photo's
        camera; None if the photo is not a training view.

    Returns:
      [V] float32 of mean 1; with the photo [V + 1], the photo's weight last.

    Choice: the paper weighs all views equally.
    """
    weights = np.ones(len(axes)) if given is None else np.asarray(given)
    best = 1.0
    if input_axis is not None:
        # sin(angle / 2), from cos(angle) = 1 - 2 sin(angle / 2)^2.
        cosine = np.asarray(axes) @ np.asarray(input_axis)
        half_sine = np.sqrt(np.clip((1.0 - cosine) / 2.0, 0.0, 1.0))
        weights, best = weights * (NEAR + half_sine) ** -power, NEAR**-power
    if photo_weight is not None:
        weights = np.append(weights, photo_weight * best)
    return (weights / weights.mean()).astype(np.float32)
