"""One gain and one offset a view and channel, so that neighbouring views show the same colours."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.metrics.consistency import match_views
from jaxvsnerf.types import Cameras

NEIGHBOURS = 4
# Choice: how far colours drift, as standard deviations of gain and offset: what holds a view back
# that shares little with others, and keeps all views together from drifting.
PRIOR_GAIN, PRIOR_OFFSET = 0.1, 0.02
# Pixels of a picture scored at 64 rows that tell one thing: details that two views draw in
# different places are off in patches.
PATCH = 100.0
# How firmly mean gain and offset stay at 1 and 0, over what holds each view.
STILL = 1e4
# Huber's constant, and rounds of reweighting.
HUBER, ROUNDS = 1.345, 10
# Colours that no view would change by more than this, in the mean, stay as they are: real
# views, and views with medium damage, lie below.
LEAST_CHANGE = 0.03


def solve_colors(
    images: np.ndarray, masks: np.ndarray, cameras: Cameras, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gains and offsets under which views show the same colours where they see the same surface.

    Minimises over all pairs of neighbours Huber's loss of the differences, and how far gains lie
    from 1 and offsets from 0, in standard deviations. Light that is baked into the object is the
    same in all views and changes nothing.

    Args:
      images: [V, height, width, 3], see `metrics.consistency.reduced`.
      masks: [V, height, width] opacity.
      cameras: V cameras, in the object's cube.
      kept: [V] bool, the views that count; the others keep their colours.

    Returns:
      gains [V, 3] and offsets [V, 3]: the colour is to be gain * colour + offset.
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
    """`solve_colors` of N pairs of pixels that see the same.

    Args:
      own: [N, 3] colours.
      shown: [N, 3] colours of the same places in another view.
      view: [N] which views `own` are of.
      other: [N] which views `shown` are of.
      num_views: V.
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
    """[2, V] changes of gain and offset of one channel, by weighted least squares."""
    parts = [own, np.ones_like(own), -shown, -np.ones_like(shown)]
    places = [view, view + num_views, other, other + num_views]
    prior = np.array([PRIOR_GAIN**-2, PRIOR_OFFSET**-2])
    # The means are held: colours of all views that shrink together agree better too.
    together = STILL * np.kron(np.diag(prior), np.ones((num_views, num_views)))
    matrix = together + np.diag(np.repeat(prior, num_views))
    right, gap = np.zeros(2 * num_views), own - shown
    # Every pair is met from both of its sides.
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
    """Pictures [V, height, width, 3] with other colours of the object, whose background stays."""
    opacity = masks[..., None]
    behind = background * (1.0 - opacity)
    gains, offsets = gains[:, None, None], offsets[:, None, None]
    changed = gains * (images - behind) + offsets * opacity + behind
    return np.where(opacity > 0, np.clip(changed, 0.0, 1.0), images).astype(np.float32)
