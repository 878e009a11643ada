"""Says whether the sampled cube holds the object and whether the masks agree, in a moment.

`consistency` answers more but compiles programs. This is numpy on small masks, so that training
can ask before its first step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import binary_dilation

from jaxvsnerf.data.similarity import find_similarity
from jaxvsnerf.diagnose.mistakes import diagnose
from jaxvsnerf.diagnose.remarks import Remark
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import (
    HALF_EXTENT,
    camera_centers,
    identity_similarity,
    magnification,
    take,
)
from jaxvsnerf.types import Cameras, Similarity, ViewSet

# Height in pixels of the masks, and cells along an axis of the cube.
SIZE, CELLS = 64, 48
# Of more views, as many are asked, evenly over their order.
MOST_VIEWS = 24
# Points along a ray outside the cube.
SAMPLES = 64
# Share of the views whose masks may exclude a point of the object: generated masks contradict
# each other, and a wrong view must not carve everything away.
OUTSIDE = 0.1
# Choice: from right sets (experiments/inspect: at least .978 of the masks is covered, at most .001
# by the hull outside the cube) and from the planted mistakes (an object moved by half a cube or
# twice too large: .05 to .21 outside; poses in another convention: nothing inside).
LEAST_SEEN, CUT_OFF, AGREE, SHARE_NOTHING = 0.01, 0.03, 0.93, 0.3
# Share that must be covered for an object out of the cube; below, other mistakes are likelier
# (degrees taken for radians: .84).
MOSTLY = 0.86


def place_remarks(views: ViewSet, to_cube: Similarity) -> list[Remark]:
    """Says whether the object reaches out of the sampled cube, and whether the masks agree.

    Args:
      views: V views, cameras in the object's cube; views of weight 0 are left out. Without masks
        or with fewer than two views there is nothing to say.
      to_cube: similarity from the source's frame to the object's cube.
    """
    if views.masks is None:
        return []
    views = _asked(views)
    if len(views.masks) < 2:
        return []
    cover = object_cover(views.masks, views.cameras)
    inside, outside = float(cover.inside.mean()), float(cover.outside.mean())
    if inside < SHARE_NOTHING and inside + outside < AGREE:
        return [Remark("The views share no object", _likely_mistake(views), stop=True)]
    if inside + outside < (MOSTLY if outside > CUT_OFF else AGREE):
        worst = views.names[int(np.argmin(cover.inside + cover.outside))]
        text = (
            f"the views hardly agree: all masks together explain {inside + outside:.0%} of each "
            f"outline, of view {worst} {(cover.inside + cover.outside).min():.0%}; right sets "
            "reach 98%. python -m jaxvsnerf.inspect, with the same data settings, looks for the "
            "mistake"
        )
        return [Remark("The views hardly agree", text, stop=False)]
    if outside < LEAST_SEEN:
        return []
    text = (
        f"the object reaches out of the cube that is sampled: {outside:.0%} of its outline would "
        f"be cut off{_mend(views, to_cube)}; if the cameras are wrong, "
        "python -m jaxvsnerf.inspect tells"
    )
    return [Remark("The object reaches out of its cube", text, stop=outside > CUT_OFF)]


def _asked(views: ViewSet) -> ViewSet:
    """The views that have a weight, at most MOST_VIEWS of them."""
    weights = np.ones(len(views.masks)) if views.weights is None else np.asarray(views.weights)
    kept = np.nonzero(weights > 0)[0]
    if len(kept) > MOST_VIEWS:
        kept = kept[np.linspace(0, len(kept) - 1, MOST_VIEWS).round().astype(int)]
    return views.replace(
        images=views.images[kept],
        masks=views.masks[kept],
        cameras=take(views.cameras, kept),
        names=tuple(views.names[index] for index in kept),
        weights=None,
    )


def _likely_mistake(views: ViewSet) -> str:
    """Words for views whose masks share nothing, with the correction that agrees best."""
    text = "the masks of the views share no volume, so training would make no object"
    found = diagnose(views, identity_similarity()).mistake
    if found is None:
        return f"{text}; check the cameras and the masks with python -m jaxvsnerf.inspect"
    return (
        f"{text}. Likely mistake: {found.name}; the views would agree to {found.score:.2f}: "
        f"{found.advice}"
    )


def _mend(views: ViewSet, to_cube: Similarity) -> str:
    """The setting that brings the whole object into the cube, as the end of a sentence."""
    try:
        fit = find_similarity(views.cameras, views.masks)
    except InputError:
        return ""
    scale = float(fit.scale * to_cube.scale)
    shift = np.asarray(to_cube.translation) * fit.scale + np.asarray(fit.translation)
    numbers = ",".join(f"{one:.3g}" for one in (scale, *(np.round(shift, 3) + 0.0)))
    return f"; --config.data.similarity=({numbers}) fits the whole object into the cube"


class Cover(NamedTuple):
    """What explains the object's pixels in V views.

    Attributes:
      inside: [V] share of the mask that the hull within the sampled cube covers.
      outside: [V] share that only the hull outside the cube covers.
    """

    inside: np.ndarray
    outside: np.ndarray


def object_cover(masks: np.ndarray, cameras: Cameras) -> Cover:
    """Measures how much of each mask the hull of all masks covers, in the cube and outside.

    Args:
      masks: [V, height, width] opacity.
      cameras: V cameras, in the object's cube.
    """
    solid, cameras = _small(masks, cameras)
    allowed = int(OUTSIDE * len(solid))
    axis = ((np.arange(CELLS) + 0.5) / CELLS * 2.0 - 1.0) * HALF_EXTENT
    cells = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    kept = cells[_carve(cells.astype(np.float32), solid, cameras, allowed)]
    shown = np.zeros(solid.shape, bool)
    for view in range(len(solid)):
        x, y, seen = _pixels(kept, cameras, view)
        shown[view, y[seen], x[seen]] = True
        cell = 2.0 * HALF_EXTENT / CELLS * _pixels_per_length(cameras, view)
        reach = int(np.clip(np.ceil(cell), 1, SIZE // 4))
        shown[view] = binary_dilation(shown[view], np.ones((2 * reach + 1,) * 2))
    rest = solid & ~shown
    lost = _outside_the_cube(rest, solid, cameras, allowed)
    area = np.maximum(solid.sum((1, 2)), 1)
    return Cover((solid & shown).sum((1, 2)) / area, lost.sum((1, 2)) / area)


def _small(masks: np.ndarray, cameras: Cameras) -> tuple[np.ndarray, Cameras]:
    """[V, SIZE, width] bool masks of few pixels, and their cameras."""
    height, width = masks.shape[1:]
    rows = min(SIZE, height)
    columns = max(round(width * rows / height), 1)
    y = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    x = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    scale = np.array([columns / width, rows / height, 1.0])
    intrinsics = np.asarray(cameras.intrinsics, np.float64) * scale[:, None]
    small = cameras.replace(intrinsics=intrinsics, width=columns, height=rows)
    return np.asarray(masks)[:, y[:, None], x] > 0.5, small


def _pixels(
    points: np.ndarray, cameras: Cameras, view: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and whether the view shows each of N points; x and y lie within the picture."""
    k = np.asarray(cameras.intrinsics[view], np.float32)
    w2c = np.asarray(cameras.w2c[view], np.float32)
    seen = points @ w2c[:, :3].T + w2c[:, 3]
    depth = k[2, 2] * seen[:, 2] + (1.0 - k[2, 2])
    flat = seen[:, :2] @ k[:2, :2].T / np.maximum(depth, 1e-6)[:, None] + k[:2, 2]
    size = cameras.width, cameras.height
    flat = np.floor(flat.clip(-1.0, max(size) + 1.0)).astype(np.int32)
    within = (flat >= 0).all(1) & (flat < size).all(1) & (seen[:, 2] > 0)
    return flat[:, 0].clip(0, size[0] - 1), flat[:, 1].clip(0, size[1] - 1), within


def _carve(points: np.ndarray, solid: np.ndarray, cameras: Cameras, allowed: int) -> np.ndarray:
    """Indices of the points that at most `allowed` masks exclude.

    As in `visual_hull` with `extend`: a picture continues beyond its border.
    """
    left, misses = np.arange(len(points)), np.zeros(len(points), np.int32)
    # Views far from each other first: each leaves fewer points for the next.
    for view in np.argsort(np.arange(len(solid)) * 0.618 % 1.0, kind="stable"):
        x, y, _ = _pixels(points[left], cameras, view)
        misses[left] += ~solid[view, y, x]
        left = left[misses[left] <= allowed]
    return left


def _outside_the_cube(
    rest: np.ndarray, solid: np.ndarray, cameras: Cameras, allowed: int
) -> np.ndarray:
    """[V, height, width] bool, pixels of `rest` whose rays meet the hull outside the cube."""
    centers = camera_centers(cameras)
    distance = np.linalg.norm(centers, axis=1)
    half = 0.5 * np.array([cameras.width, cameras.height])
    frames = (half / magnification(cameras, np.maximum(distance, 1e-6))).max()
    reach = 1.5 * max(float(frames), HALF_EXTENT)
    lost = np.zeros(rest.shape, bool)
    for view in np.nonzero(rest.any((1, 2)))[0]:
        y, x = np.nonzero(rest[view])
        origins, directions = _rays(cameras, view, x + 0.5, y + 0.5)
        middle = -(origins * directions).sum(1, keepdims=True)
        t = middle + np.linspace(-reach, reach, SAMPLES)
        points = origins[:, None] + t[..., None] * directions[:, None]
        outside = (np.abs(points).max(-1) > HALF_EXTENT) & (t > 0)
        ray, _ = np.nonzero(outside)
        found = _carve(points[outside].astype(np.float32), solid, cameras, allowed)
        met = np.zeros(len(x), bool)
        met[ray[found]] = True
        lost[view, y, x] = met
    return lost


def _rays(
    cameras: Cameras, view: int, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Origins [N, 3] and unit directions [N, 3] of the rays through N points of a picture."""
    k, w2c = (np.asarray(one[view], np.float64) for one in (cameras.intrinsics, cameras.w2c))
    down = (y - k[1, 2]) / k[1, 1]
    right = (x - k[0, 2] - k[0, 1] * down) / k[0, 0]
    flat, perspective = np.stack([right, down], -1), k[2, 2]
    ahead = np.ones((len(x), 1))
    directions = np.concatenate([perspective * flat, ahead], 1) @ w2c[:, :3]
    starts = np.concatenate([(1.0 - perspective) * flat, 0.0 * ahead], 1) - w2c[:, 3]
    return starts @ w2c[:, :3], directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _pixels_per_length(cameras: Cameras, view: int) -> float:
    """Pixels of a unit of length at the cube's middle."""
    depth = np.maximum(np.asarray(cameras.w2c, np.float64)[:, 2, 3], 1e-6)
    return float(magnification(cameras, depth)[view].max())
