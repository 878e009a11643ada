"""Fits a gain and an offset per view and channel, so that neighbouring views agree in colour."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.metrics.consistency import match_views
from jaxvsnerf.types import Cameras

NEIGHBOURS = 4
# Choice: standard deviations of the prior on gain and offset. The prior holds views that share
# little surface with others, and keeps all views from drifting together.
PRIOR_GAIN, PRIOR_OFFSET = 0.1, 0.02
# Pixels (at a height of 64) that count as one independent observation: details that two views
# draw in different places cause errors in whole patches.
PATCH = 100.0
# Strength of the prior on the mean gain and offset over all views, relative to each view's prior.
STILL = 1e4
# Huber's constant, and iterations of reweighted least squares.
HUBER, ROUNDS = 1.345, 10
# Colours stay unchanged if no view's mean change exceeds this: real views, and views with medium
# simulated damage, lie below.
LEAST_CHANGE = 0.03


def solve_colors(
    images: np.ndarray, masks: np.ndarray, cameras: Cameras, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fits gains and offsets that make views agree where they see the same surface.

    Minimises the Huber loss of colour differences over all pairs of neighbours, plus the squared
    distances of gains from 1 and of offsets from 0, in standard deviations. Light baked into the
    object is the same in all views and has no effect.

    Args:
      images: [V, height, width, 3], see `metrics.consistency.reduced`.
      masks: [V, height, width] opacity.
      cameras: V cameras, in the object's cube.
      kept: [V] bool, views that take part; the others get gain 1 and offset 0.

    Returns:
      gains [V, 3] and offsets [V, 3]; the harmonised colour is gain * colour + offset.
    """
    found = jax.device_get(match_views(images, masks, cameras, jnp.asarray(kept), NEIGHBOURS))
    seen = found.seen & kept[:, None, None, None]
    view, slot, y, x = np.nonzero(seen)
    other = found.neighbours[view, slot]
    own, shown = images[view, y, x].astype(np.float64), found.shown[seen].astype(np.float64)
    return fit_colors(own, shown, view, other, len(images))


def fit_colors(
    own: np.ndarray, shown: np.ndarray, view: np.ndarray, other: np.ndarray, num_views: int
) -> tuple[np.ndarray, np.ndarray]:
    """Fits gains and offsets to N pairs of pixels that show the same surface point.

    Args:
      own: [N, 3] colours in one view.
      shown: [N, 3] colours of the same points in another view.
      view: [N] index of the view of each colour in `own`.
      other: [N] index of the view of each colour in `shown`.
      num_views: V.

    Returns:
      gains [V, 3] and offsets [V, 3].
    """
    gains, offsets = np.ones((num_views, 3)), np.zeros((num_views, 3))
    for _ in range(ROUNDS if len(own) else 0):
        difference = gains[view] * own + offsets[view] - gains[other] * shown - offsets[other]
        size = np.linalg.norm(difference, axis=1)
        scale = max(float(np.median(size)), 1e-3)
        weights = np.minimum(HUBER * scale / np.maximum(size, 1e-9), 1.0)
        for channel in range(3):
            solved = _solve(
                own[:, channel], shown[:, channel], view, other, weights, scale, num_views
            )
            gains[:, channel], offsets[:, channel] = 1.0 + solved[0], solved[1]
    return gains, offsets


def _solve(
    own: np.ndarray,
    shown: np.ndarray,
    view: np.ndarray,
    other: np.ndarray,
    weights: np.ndarray,
    scale: float,
    num_views: int,
) -> np.ndarray:
    """[2, V] gain - 1 and offset of one channel, by weighted least squares."""
    parts = [own, np.ones_like(own), -shown, -np.ones_like(shown)]
    places = [view, view + num_views, other, other + num_views]
    prior = np.array([PRIOR_GAIN**-2, PRIOR_OFFSET**-2])
    # The means are held: otherwise all views would darken together, which lowers the loss too.
    together = STILL * np.kron(np.diag(prior), np.ones((num_views, num_views)))
    matrix = together + np.diag(np.repeat(prior, num_views))
    right, gap = np.zeros(2 * num_views), own - shown
    # Halved: each pair of pixels occurs twice, once from either view.
    trust = weights / (2.0 * PATCH * scale**2)
    for one, row in zip(parts, places, strict=True):
        np.add.at(right, row, -trust * one * gap)
        for two, column in zip(parts, places, strict=True):
            np.add.at(matrix, (row, column), trust * one * two)
    return np.linalg.solve(matrix, right).reshape(2, num_views)


def apply_colors(
    images: np.ndarray,
    masks: np.ndarray,
    background: np.ndarray,
    gains: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray:
    """Applies gains and offsets to the object's colours; keeps the background.

    Args:
      images: [V, height, width, 3] in [0, 1], on the background.
      masks: [V, height, width] opacity in [0, 1].
      background: [3] in [0, 1].
      gains: [V, 3].
      offsets: [V, 3].

    Returns:
      [V, height, width, 3] float32 in [0, 1].
    """
    opacity = masks[..., None]
    behind = background * (1.0 - opacity)
    gains, offsets = gains[:, None, None], offsets[:, None, None]
    changed = gains * (images - behind) + offsets * opacity + behind
    return np.where(opacity > 0, np.clip(changed, 0.0, 1.0), images).astype(np.float32)
