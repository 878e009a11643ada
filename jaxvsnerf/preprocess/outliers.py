"""Views that agree with no other: another object's, mirrored, moved, badly bent."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.geometry.cameras import HALF_EXTENT, project
from jaxvsnerf.geometry.hull import grid_centers
from jaxvsnerf.metrics.consistency import CELLS, PRIOR, SOLID, color_contrast, match_views, reduced
from jaxvsnerf.types import Array, Cameras

# Neighbours that a view's colours are held against. The second best of them counts: a good view
# may stand beside a bad one, and two bad ones may agree with each other.
NEIGHBOURS, AGREEING = 4, 2
# With fewer views nothing says which is wrong; of more at most this share is.
LEAST_VIEWS, MOST_WRONG = 6, 0.25
# Choice: a view is wrong whose silhouette is by this share more at fault than the median view's
# (right sets, real and badly damaged ones among them, stay below .045), or whose colours agree
# with its neighbours' no better than chance.
FAULT, CHANCE = 0.025, 0.0
# Either way it must also stand out: so many deviations (by the median) from the other views.
DEVIATIONS, COLOR_DEVIATIONS = 5.0, 3.0


class Agreement(NamedTuple):
    """How each of V views fits those that are kept.

    Attributes:
      faults: [V] share of the object that its mask takes from the other masks, alone or together
        with few others, in the mean over these; plus the share of its own mask that more than a
        few others do not show. Of views that agree both are nearly 0.
      colors: [V] 1 - error / what two pixels of the object picked at random differ by, against
        the second best of its neighbours, whatever the colour cast between the two.
    """

    faults: np.ndarray
    colors: np.ndarray


def find_outliers(images: np.ndarray, masks: np.ndarray, cameras: Cameras) -> np.ndarray:
    """Which views agree with no other, found one after the other, the worst first.

    Args:
      images: [V, height, width, 3] in [0, 1].
      masks: [V, height, width] opacity.
      cameras: V cameras, in the object's cube.

    Returns:
      [V] bool; all False with fewer than LEAST_VIEWS views.
    """
    count = len(masks)
    kept = np.ones(count, bool)
    if count < LEAST_VIEWS:
        return ~kept
    images, masks, cameras = reduced(images, masks, cameras)
    while (~kept).sum() < int(MOST_WRONG * count):
        found = view_agreement(images, masks, cameras, kept)
        # Silhouettes first: colours are compared where the hull says the surface is.
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
    # 1.4826: of a normal distribution that is its deviation.
    far = deviations * 1.4826 * np.median(np.abs(others - median))
    found = np.zeros(len(values), bool)
    found[worst] = values[worst] > max(least, median + far)
    return found


def view_agreement(
    images: np.ndarray, masks: np.ndarray, cameras: Cameras, kept: np.ndarray
) -> Agreement:
    """Each view against those that are kept.

    Args:
      images: [V, height, width, 3], see `reduced`.
      masks: [V, height, width] opacity.
      cameras: V cameras, in the object's cube.
      kept: [V] bool, the views that count as evidence.
    """
    return Agreement(
        _silhouette_faults(masks, cameras, kept), _colors(images, masks, cameras, kept)
    )


def _silhouette_faults(masks: np.ndarray, cameras: Cameras, kept: np.ndarray) -> np.ndarray:
    """`faults` of an Agreement.

    A pixel of a mask whose ray meets no cell that all views show is at odds with the others. Of
    the cells on its ray those count that the fewest views leave out: if they are few, they are to
    blame in equal shares, else the mask itself is.
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
    """[V, cells] which cells a view sees outside its mask, and the pixel of each."""
    cells = jnp.asarray(grid_centers(CELLS, HALF_EXTENT)).reshape(-1, 3)

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
    """`colors` of an Agreement."""
    found = jax.device_get(match_views(images, masks, cameras, jnp.asarray(kept), NEIGHBOURS))
    counts, seen = found.seen.sum((2, 3)), found.seen[..., None]
    gaps = np.where(seen, found.shown - images[:, None], 0.0)
    # A colour cast is drift, and no other object: what is left beside it counts.
    cast = gaps.sum((2, 3), keepdims=True) / np.maximum(counts, 1)[..., None, None, None]
    sums = np.where(seen, np.abs(gaps - cast), 0.0).mean(-1).sum((2, 3))
    prior = PRIOR * (masks > SOLID).sum((1, 2))[:, None] + 1e-9
    pairs = 1.0 - (sums / color_contrast(images, masks) + prior) / (counts + prior)
    return np.sort(pairs, 1)[:, -min(AGREEING, pairs.shape[1])]
