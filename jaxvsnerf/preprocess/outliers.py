"""Finds outlier views: views of another object, mirrored, moved or badly bent views."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.geometry.cameras import HALF_EXTENT, project
from jaxvsnerf.geometry.hull import grid_centers
from jaxvsnerf.metrics.consistency import CELLS, PRIOR, SOLID, color_contrast, match_views, reduced
from jaxvsnerf.types import Array, Cameras

# Neighbours that a view's colours are compared with, and the rank of the agreement that counts.
# The second best: a good view may have a bad neighbour, and two bad views may agree.
NEIGHBOURS, AGREEING = 4, 2
# Fewer views do not tell which of them is wrong; at most this share of the views is removed.
LEAST_VIEWS, MOST_WRONG = 6, 0.25
# Choice: a view is an outlier if its silhouette fault exceeds the median view's by this much
# (correct sets, including real and badly damaged sets, stay below .045), or if its colours agree
# with its neighbours' no better than chance.
FAULT, CHANCE = 0.025, 0.0
# An outlier must also lie this many robust standard deviations from the other views.
DEVIATIONS, COLOR_DEVIATIONS = 5.0, 3.0


class Agreement(NamedTuple):
    """Agreement of each of V views with the kept views.

    Attributes:
      faults: [V] silhouette fault, nearly 0 for views that agree: the mean share of the other
        masks that this view, alone or with a few others, carves away, plus the share of its own
        mask that more than a few others carve away.
      colors: [V] 1 - colour error / mean difference of two random pixels of the object, against
        the second best neighbour, after removing the colour cast between the two views.
    """

    faults: np.ndarray
    colors: np.ndarray


def find_outliers(images: np.ndarray, masks: np.ndarray, cameras: Cameras) -> np.ndarray:
    """Finds views that agree with no other, one at a time, the worst first.

    Args:
      images: [V, height, width, 3] in [0, 1].
      masks: [V, height, width] opacity.
      cameras: V cameras, in the object's cube.

    Returns:
      [V] bool, True for outliers; all False with fewer than LEAST_VIEWS views.
    """
    count = len(masks)
    kept = np.ones(count, bool)
    if count < LEAST_VIEWS:
        return ~kept
    images, masks, cameras = reduced(images, masks, cameras)
    while (~kept).sum() < int(MOST_WRONG * count):
        found = view_agreement(images, masks, cameras, kept)
        # Silhouettes first: colours are compared on the surface of the visual hull.
        usual = np.median(found.faults[kept])
        wrong = _stand_out(found.faults, usual + FAULT, DEVIATIONS, kept)
        if not wrong.any():
            wrong = _stand_out(-found.colors, -CHANCE, COLOR_DEVIATIONS, kept)
        if not wrong.any():
            break
        kept &= ~wrong
    return ~kept


def _stand_out(values: np.ndarray, least: float, deviations: float, kept: np.ndarray) -> np.ndarray:
    """[V] bool: the kept view of the largest value, if above `least` and far from the others."""
    worst = np.where(kept, values, -np.inf).argmax()
    others = values[kept & (np.arange(len(values)) != worst)]
    median = np.median(others)
    # 1.4826 times the median absolute deviation is a normal distribution's standard deviation.
    far = deviations * 1.4826 * np.median(np.abs(others - median))
    found = np.zeros(len(values), bool)
    found[worst] = values[worst] > max(least, median + far)
    return found


def view_agreement(
    images: np.ndarray, masks: np.ndarray, cameras: Cameras, kept: np.ndarray
) -> Agreement:
    """Measures how well each view agrees with the kept views.

    Args:
      images: [V, height, width, 3], see `reduced`.
      masks: [V, height, width] opacity.
      cameras: V cameras, in the object's cube.
      kept: [V] bool, views that count as evidence.

    Returns:
      The agreement of all V views.
    """
    return Agreement(
        _silhouette_faults(masks, cameras, kept), _colors(images, masks, cameras, kept)
    )


def _silhouette_faults(masks: np.ndarray, cameras: Cameras, kept: np.ndarray) -> np.ndarray:
    """[V] `Agreement.faults`.

    A mask pixel contradicts the other views if every cell on its ray is carved away. Only the
    cells carved by the fewest views count: if few views carve them, these views share the blame
    equally, else the pixel's own mask takes the blame.
    """
    few = int(MOST_WRONG * kept.sum())
    carved, pixels = (np.asarray(one) for one in _carve(masks, cameras))
    carved = carved & kept[:, None]
    misses = carved.sum(0)
    near = misses <= few
    carved, pixels, misses = carved[:, near], pixels[:, near], misses[near]
    solid = (masks > 0.5).reshape(len(masks), -1)
    blamed, own = np.zeros(len(masks)), np.zeros(len(masks))
    for view, (inside, places) in enumerate(zip(solid, pixels, strict=True)):
        area = max(inside.sum(), 1)
        least = np.full(len(inside), few + 1)
        np.minimum.at(least, places, misses)
        own[view] = (inside & (least > few)).sum() / area if inside.any() else 1.0
        if not kept[view]:
            continue
        best = (misses == least[places]) & (misses > 0) & inside[places]
        cells = np.bincount(places[best], minlength=len(inside))
        share = 1.0 / (cells[places[best]] * misses[best] * area)
        blame = carved[:, best] @ share
        blame[view] = 0.0
        blamed += blame
    return blamed / max(kept.sum() - 1, 1) + own


@jax.jit
def _carve(masks: Array, cameras: Cameras) -> tuple[Array, Array]:
    """[V, N] whether each view carves each of N cells, and the pixel that shows the cell."""
    cells = grid_centers(CELLS, HALF_EXTENT).reshape(-1, 3)

    def one(view: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        intrinsics, w2c, mask = view
        pixels, depth = project(intrinsics, w2c, cells)
        pixels = jnp.clip(pixels, -1.0, max(cameras.width, cameras.height) + 1.0)
        x = jnp.floor(pixels[:, 0]).astype(jnp.int32).clip(0, cameras.width - 1)
        y = jnp.floor(pixels[:, 1]).astype(jnp.int32).clip(0, cameras.height - 1)
        return (depth > 0) & (mask[y, x] <= 0.5), y * cameras.width + x

    return jax.lax.map(one, (jnp.asarray(cameras.intrinsics), jnp.asarray(cameras.w2c), masks))


def _colors(
    images: np.ndarray, masks: np.ndarray, cameras: Cameras, kept: np.ndarray
) -> np.ndarray:
    """[V] `Agreement.colors`."""
    found = jax.device_get(match_views(images, masks, cameras, jnp.asarray(kept), NEIGHBOURS))
    counts, seen = found.seen.sum((2, 3)), found.seen[..., None]
    gaps = np.where(seen, found.shown - images[:, None], 0.0)
    # A colour cast is generator drift and does not make a view an outlier: subtract the cast.
    cast = gaps.sum((2, 3), keepdims=True) / np.maximum(counts, 1)[..., None, None, None]
    sums = np.where(seen, np.abs(gaps - cast), 0.0).mean(-1).sum((2, 3))
    prior = PRIOR * (masks > SOLID).sum((1, 2))[:, None] + 1e-9
    pairs = 1.0 - (sums / color_contrast(images, masks) + prior) / (counts + prior)
    return np.sort(pairs, 1)[:, -min(AGREEING, pairs.shape[1])]
