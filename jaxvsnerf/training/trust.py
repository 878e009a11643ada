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
    given: np.ndarray | None = None,
    photo_weight: float | None = None,
) -> np.ndarray:
    """Weights of the views' rays in the loss: less for what a generator saw less of.

    Args:
      axes: [V] unit optical axes of the generated views, each [3].
      input_axis: [3] that of the picture the generator was given, or None where unknown.
      power: at least 0, which trusts all views alike; 1 weighs by the inverse of the expected
        squared error.
      given: [V] further weights, at least 0 and not all 0, or None.
      photo_weight: of the photo itself, relative to a generated view that shows just what it
        shows; None where it is no view.

    Returns:
      [V] float32, of mean 1; with the photo [V + 1], its weight the last.

    Choice: the paper trusts all views alike.
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
