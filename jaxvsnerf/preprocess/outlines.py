"""Aligns the outline of a photo with the outline of the views' visual hull."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.optimize import minimize

from jaxvsnerf.geometry.cameras import HALF_EXTENT, camera_centers, image_rays, project
from jaxvsnerf.geometry.hull import grid_centers
from jaxvsnerf.types import Array, Cameras, ViewSet

# Hull cells along an axis, samples per ray, side in pixels of the frame in which outlines are
# compared, and the frame's extent relative to a view's, so that no outline leaves the frame.
HULL_CELLS, HULL_SAMPLES, FRAME, WIDER = 96, 128, 160, 1.25


# Masks are blurred by this share of a cell, so that the hull's surface lies between its cells.
BLUR = 0.35


class Placement(NamedTuple):
    """Map from frame to photo: position in the photo = scale * position in the frame + shift.

    Attributes:
      scale: pixels of the photo per pixel of the frame.
      shift: [2] (x, y) in pixels of the photo.
      overlap: intersection over union of the outlines, 0 to 1.
    """

    scale: float
    shift: np.ndarray
    overlap: float


def soft_hull(views: ViewSet) -> Array:
    """[G, G, G] minimum over views of the mask at each cell's centre; the surface is at 0.5.

    Views of weight 0 are left out.
    """
    cameras = views.cameras
    distance = np.linalg.norm(camera_centers(cameras)[0])
    k = np.asarray(cameras.intrinsics)[0]
    cell_px = 2.0 * HALF_EXTENT / HULL_CELLS * k[0, 0] / (distance if k[2, 2] else 1.0)
    masks = gaussian_filter(np.asarray(views.masks), (0.0, BLUR * cell_px, BLUR * cell_px))
    if views.weights is not None:
        masks = np.where(views.weights[:, None, None] > 0, masks, np.float32(1.0))
    return _least_mask(grid_centers(HULL_CELLS, HALF_EXTENT), cameras, masks)


@jax.jit
def _least_mask(points: Array, cameras: Cameras, masks: Array) -> Array:
    def carve(least, view):
        intrinsics, w2c, mask = view
        pixels, _ = project(intrinsics, w2c, points)
        at = [pixels[..., 1] - 0.5, pixels[..., 0] - 0.5]
        # Masks continue beyond their border, as in the `visual_hull` that bounds the field.
        seen = jax.scipy.ndimage.map_coordinates(mask, at, order=1, mode="nearest")
        return jnp.minimum(least, seen), None

    views = (jnp.asarray(cameras.intrinsics), jnp.asarray(cameras.w2c), jnp.asarray(masks))
    return jax.lax.scan(carve, jnp.ones(points.shape[:-1]), views)[0]


def outline(hull: Array, frame: Cameras) -> np.ndarray:
    """[FRAME, FRAME] bool silhouette of the soft hull in the frame's camera."""
    return np.asarray(_most_met(hull, frame)) > 0.5


@jax.jit
def _most_met(hull: Array, frame: Cameras) -> Array:
    """[FRAME, FRAME] maximum of the soft hull along each pixel's ray."""
    rays = image_rays(frame, 0)

    def step(index, most):
        t = rays.near + (index + 0.5) / HULL_SAMPLES * (rays.far - rays.near)
        cells = (rays.origins + t * rays.directions) / (2.0 * HALF_EXTENT) + 0.5
        at = list(jnp.moveaxis(cells * len(hull) - 0.5, -1, 0))
        return jnp.maximum(most, jax.scipy.ndimage.map_coordinates(hull, at, order=1))

    return jax.lax.fori_loop(0, HULL_SAMPLES, step, jnp.zeros(rays.view_index.shape))


def place_roughly(mask: np.ndarray, seen: np.ndarray) -> Placement:
    """Aligns outlines in closed form, by bounding box or by centroid.

    Both align area and centre. The better overlap wins: a speck spoils a bounding box, a missing
    part spoils a centroid.

    Args:
      mask: [H, W] mask of the photo in [0, 1].
      seen: [h, w] bool outline in the frame, not empty.

    Returns:
      The placement of larger overlap.
    """
    placements = []
    for measure in (_box, _centroid):
        (middle, area), (frame_middle, frame_area) = measure(mask > 0.5), measure(seen)
        scale = float(np.sqrt(area / frame_area))
        shift = middle - scale * frame_middle
        placements.append(Placement(scale, shift, overlap(mask, seen, scale, shift)))
    return max(placements, key=lambda one: one.overlap)


def place_outlines(mask: np.ndarray, seen: np.ndarray) -> Placement:
    """Finds the placement of largest overlap, starting from `place_roughly`.

    Args:
      mask: [H, W] mask of the photo in [0, 1].
      seen: [h, w] bool outline in the frame; an empty outline gives overlap 0.

    Returns:
      The placement.
    """
    if not seen.any():
        return Placement(1.0, np.zeros(2), 0.0)
    start = place_roughly(mask, seen)
    middle = np.array(seen.shape[::-1]) / 2.0

    def unpack(x: np.ndarray) -> tuple[float, np.ndarray]:
        # Scaling about the frame's middle decouples scale from shift.
        scale = start.scale * np.exp(x[0])
        return scale, start.shift + start.scale * (middle + x[1:]) - scale * middle

    found = minimize(
        lambda x: -overlap(mask, seen, *unpack(x)),
        np.zeros(3),
        method="Nelder-Mead",
        options={
            "initial_simplex": np.vstack([np.zeros(3), np.diag([0.03, 2.0, 2.0])]),
            "xatol": 1e-3,
            "fatol": 1e-5,
            "maxfev": 200,
        },
    )
    return Placement(*unpack(found.x), -float(found.fun))


def overlap(mask: np.ndarray, seen: np.ndarray, scale: float, shift: np.ndarray) -> float:
    """Intersection over union, in the frame, of the placed mask and an outline.

    Args:
      mask: [H, W] mask of the photo in [0, 1].
      seen: [h, w] bool outline in the frame.
      scale: see `Placement`.
      shift: [2], see `Placement`.

    Returns:
      0 to 1.
    """
    y, x = np.mgrid[: seen.shape[0], : seen.shape[1]] + 0.5
    at = np.stack([scale * y + shift[1] - 0.5, scale * x + shift[0] - 0.5])
    photo = map_coordinates(np.asarray(mask, np.float32), at, order=1, mode="grid-constant")
    both = float(np.minimum(photo, seen).sum())
    # The whole mask counts, including parts outside the frame.
    return both / (float(seen.sum()) + float(mask.sum()) / scale**2 - both)


def _box(inside: np.ndarray) -> tuple[np.ndarray, float]:
    """Middle [2] (x, y) and area of the bounding box, in pixels."""
    rows, columns = np.nonzero(inside)
    low = np.array([columns.min(), rows.min()], np.float64)
    high = np.array([columns.max(), rows.max()]) + 1.0
    return (low + high) / 2.0, float(np.prod(high - low))


def _centroid(inside: np.ndarray) -> tuple[np.ndarray, float]:
    """Centroid [2] (x, y) and area, in pixels."""
    rows, columns = np.nonzero(inside)
    return np.array([columns.mean(), rows.mean()]) + 0.5, float(rows.size)
