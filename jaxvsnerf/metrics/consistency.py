"""Consistency of posed pictures with each other, without truth and without training."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates
from scipy.ndimage import binary_erosion

from jaxvsnerf.geometry.cameras import HALF_EXTENT, optical_axes, project
from jaxvsnerf.geometry.hull import first_hits, grid_centers, visual_hull
from jaxvsnerf.types import Array, Cameras

# Height in pixels at which pictures are compared, and hull cells along an axis: finer takes
# longer and ranks sets of views the same.
SIZE = 64
CELLS = 64
NEIGHBOURS = 2
# Depth tolerance of the visibility test, two cells: how far a point may lie from the surface
# that a neighbour sees.
DEPTH_TOLERANCE = 2 * (2 * HALF_EXTENT) / CELLS
# Opacity from which a pixel's colour counts as free of background.
SOLID = 0.9
# Pseudo-count of pixels at chance level, as a share of the object's pixels, so that a handful
# of lucky pixels proves nothing.
PRIOR = 0.02
# Lower bound of the colour contrast, for objects of one colour.
MIN_CONTRAST = 0.02


class Consistency(NamedTuple):
    """Agreement of V pictures; scores are at most 1, which is perfect.

    Attributes:
      score: `silhouettes` times `colors`, at least 0.
      silhouettes: mean IoU of each mask with the visual hull's silhouette.
      colors: 1 - colour error / mean difference of two random pixels of the object; 0 is no
        better than chance.
      view_silhouettes: [V] IoU of each view.
      view_colors: [V] `colors` of each view's pixels.
      covered: [V, SIZE, width] share of neighbours that see the pixel's surface point.
      errors: [V, SIZE, width] mean absolute colour difference to these neighbours, else 0.
      hull: [V, SIZE, width] bool, silhouette of the visual hull.
    """

    score: float
    silhouettes: float
    colors: float
    view_silhouettes: np.ndarray
    view_colors: np.ndarray
    covered: np.ndarray
    errors: np.ndarray
    hull: np.ndarray


def consistency(images: np.ndarray, masks: np.ndarray, cameras: Cameras) -> Consistency:
    """Scores posed pictures against each other.

    Silhouettes: IoU of each mask with the silhouette of the visual hull of all masks. Colours:
    each pixel's point on the hull is projected into the two neighbouring views (by the angle
    between optical axes); the mean absolute difference where both see the point is divided by
    that of random pairs of pixels of the object.

    Scores do not depend on a rotation of the world, nor on the scale of an orthographic set.
    Objects outside the sampled cube are not seen. `colors` says little about an object of one
    colour, or about views so far apart that they share little surface.

    Args:
      images: [V, height, width, 3] in [0, 1], V >= 2.
      masks: [V, height, width] opacity.
      cameras: V cameras, in the object's cube.

    Returns:
      The scores; deterministic.

    Raises:
      ValueError: fewer than two views, or shapes that do not fit.

    Source: silhouettes after Hernandez, Schmitt and Cipolla (2007), "Silhouette coherence for
    camera calibration under circular motion".
    """
    if len(images) < 2 or images.shape[:3] != masks.shape or len(images) != len(cameras.w2c):
        raise ValueError(
            "expected at least two pictures [V, H, W, 3] with masks [V, H, W] and V cameras, got "
            f"{images.shape}, {masks.shape} and {len(cameras.w2c)}"
        )
    images, masks, cameras = reduced(images, masks, cameras)
    contrast = color_contrast(images, masks)
    parts = jax.device_get(_compare(images, masks, cameras))
    errors, seen, hull = (np.asarray(part) for part in parts)
    solid = (masks > SOLID).sum((1, 2))
    mask = masks > 0.5
    ious = (mask & hull).sum((1, 2)) / np.maximum((mask | hull).sum((1, 2)), 1)
    prior = PRIOR * NEIGHBOURS * np.maximum(solid, 1)
    sums, counts = errors.sum((1, 2)), seen.sum((1, 2))
    view_colors = 1.0 - (sums / contrast + prior) / (counts + prior)
    colors = 1.0 - (sums.sum() / contrast + prior.sum()) / (counts.sum() + prior.sum())
    return Consistency(
        score=float(ious.mean() * max(colors, 0.0)),
        silhouettes=float(ious.mean()),
        colors=float(colors),
        view_silhouettes=ious,
        view_colors=view_colors,
        covered=seen / min(NEIGHBOURS, len(images) - 1),
        errors=errors / np.maximum(seen, 1),
        hull=hull,
    )


def surface_coverage(masks: np.ndarray, cameras: Cameras) -> np.ndarray:
    """Visibility of the hull's surface cells in each view.

    Args:
      masks: [V, height, width] opacity, see `reduced`.
      cameras: V cameras, in the object's cube.

    Returns:
      [V, N] bool for the hull's N surface cells; one unseen cell if the hull is empty.
    """
    occupied, visible = jax.device_get(_visible(jnp.asarray(masks), cameras))
    surface = occupied & ~binary_erosion(occupied)
    return visible[:, surface] if surface.any() else np.zeros((len(masks), 1), bool)


@jax.jit
def _visible(masks: Array, cameras: Cameras) -> tuple[Array, Array]:
    """[G, G, G] occupancy of the hull and [V, G, G, G] cells on the surface that a view sees."""
    cells = grid_centers(CELLS, HALF_EXTENT)
    occupied = visual_hull(cells, cameras, masks, extend=True)

    def one(view: Array) -> Array:
        points, hit = first_hits(occupied, cameras, view)
        depth = points @ cameras.w2c[view, 2, :3] + cameras.w2c[view, 2, 3]
        pixels, far = project(cameras.intrinsics[view], cameras.w2c[view], cells)
        x, y = jnp.floor(pixels[..., 0]).astype(int), jnp.floor(pixels[..., 1]).astype(int)
        inside = (x >= 0) & (x < cameras.width) & (y >= 0) & (y < cameras.height) & (far > 0)
        x, y = x.clip(0, cameras.width - 1), y.clip(0, cameras.height - 1)
        return inside & hit[y, x] & (jnp.abs(depth[y, x] - far) < DEPTH_TOLERANCE)

    return occupied, jax.lax.map(one, jnp.arange(len(masks)))


def reduced(
    images: np.ndarray, masks: np.ndarray, cameras: Cameras
) -> tuple[np.ndarray, np.ndarray, Cameras]:
    """Resizes pictures, masks and cameras to a height of SIZE pixels, at which they are scored.

    Args:
      images: [V, height, width, 3] in [0, 1].
      masks: [V, height, width] opacity.
      cameras: V cameras.

    Returns:
      Pictures [V, SIZE, new width, 3], masks [V, SIZE, new width] (float32) and cameras.
    """
    height, width = masks.shape[1:]
    if height == SIZE:
        return np.asarray(images, np.float32), np.asarray(masks, np.float32), cameras
    new_width = max(round(width * SIZE / height), 1)
    scale = np.array([new_width / width, SIZE / height, 1.0])
    resize = partial(jax.image.resize, method="linear", antialias=True)
    shape = (len(masks), SIZE, new_width)
    intrinsics = np.asarray(cameras.intrinsics, np.float64) * scale[:, None]
    cameras = cameras.replace(
        intrinsics=intrinsics.astype(np.float32), width=new_width, height=SIZE
    )
    smaller = resize(jnp.asarray(images), (*shape, 3)), resize(jnp.asarray(masks), shape)
    return *(np.asarray(one, np.float32) for one in smaller), cameras


def color_contrast(images: np.ndarray, masks: np.ndarray) -> float:
    """Mean absolute colour difference over all pairs of pixels of the object.

    For N sorted numbers x_k the mean over pairs is 2 / N^2 times the sum of (2 k - N + 1) x_k.
    """
    pixels = np.sort(images[masks > SOLID].astype(np.float64), axis=0)
    if not len(pixels):
        return MIN_CONTRAST
    count = len(pixels)
    weights = 2.0 * np.arange(count) - count + 1.0
    pairs = 2.0 / count**2 * (weights[:, None] * pixels).sum(0)
    return max(float(pairs.mean()), MIN_CONTRAST)


class Matches(NamedTuple):
    """Pixels of V views, matched in K neighbouring views.

    Attributes:
      neighbours: [V, K] indices of the neighbouring views.
      shown: [V, K, height, width, 3] neighbour's colour at the projection of a pixel's point.
      seen: [V, K, height, width] bool, whether the neighbour sees the point.
      hull: [V, height, width] bool, silhouette of the visual hull.
    """

    neighbours: Array
    shown: Array
    seen: Array
    hull: Array


@partial(jax.jit, static_argnames="count")
def match_views(
    images: Array, masks: Array, cameras: Cameras, kept: Array, count: int = NEIGHBOURS
) -> Matches:
    """Matches the pixels of each view in its neighbours, by depth on the common visual hull.

    Args:
      images: [V, height, width, 3], see `reduced`.
      masks: [V, height, width] opacity.
      cameras: V cameras, in the object's cube.
      kept: [V] bool, views that carve the hull and may be neighbours.
      count: K, neighbours per view, nearest by the angle between optical axes.

    Returns:
      The matches.
    """
    num_views = len(images)
    cells = grid_centers(CELLS, HALF_EXTENT)
    carving = jnp.where(kept[:, None, None], masks, 1.0)
    occupied = visual_hull(cells, cameras, carving, extend=True)
    points, hull = jax.lax.map(partial(first_hits, occupied, cameras), jnp.arange(num_views))
    axes = optical_axes(cameras)
    depth = jnp.einsum("vhwi,vi->vhw", points, axes) + cameras.w2c[:, 2, 3, None, None]
    alike = axes @ axes.T - 4.0 * jnp.eye(num_views) - 8.0 * ~kept
    neighbours = jax.lax.top_k(alike, min(count, num_views - 1))[1]
    solid = (masks > SOLID) & hull

    def against(view: Array, other: Array) -> tuple[Array, Array]:
        pixels, far = project(cameras.intrinsics[other], cameras.w2c[other], points[view])
        x, y = jnp.floor(pixels[..., 0]).astype(int), jnp.floor(pixels[..., 1]).astype(int)
        inside = (x >= 0) & (x < cameras.width) & (y >= 0) & (y < cameras.height) & (far > 0)
        x, y = x.clip(0, cameras.width - 1), y.clip(0, cameras.height - 1)
        surface = jnp.abs(depth[other][y, x] - far) < DEPTH_TOLERANCE
        seen = inside & surface & solid[view] & solid[other][y, x] & kept[other]
        places = [pixels[..., 1] - 0.5, pixels[..., 0] - 0.5]
        look = partial(map_coordinates, coordinates=places, order=1, mode="nearest")
        return jax.vmap(look, -1, -1)(images[other]), seen

    def one(view: Array) -> tuple[Array, Array]:
        return jax.vmap(partial(against, view))(neighbours[view])

    shown, seen = jax.lax.map(one, jnp.arange(num_views))
    return Matches(neighbours, shown, seen, hull)


@jax.jit
def _compare(images: Array, masks: Array, cameras: Cameras) -> tuple[Array, Array, Array]:
    """[V, H, W] sums of differences to neighbours, neighbours that see the point, and the hull."""
    found = match_views(images, masks, cameras, jnp.ones(len(images), bool))
    errors = jnp.abs(found.shown - images[:, None]).mean(-1)
    return jnp.where(found.seen, errors, 0.0).sum(1), found.seen.sum(1), found.hull
