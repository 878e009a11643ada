"""The visual hull: the part of space that every mask sees as object."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import maximum_filter

from jaxvsnerf.geometry.cameras import HALF_EXTENT, image_rays, project
from jaxvsnerf.types import Array, Cameras


def grid_centers(resolution: int, half_extent: float) -> np.ndarray:
    """[G, G, G, 3] float32 centres of the cells of the cube, indexed x, y, z."""
    axis = ((np.arange(resolution) + 0.5) / resolution * 2.0 - 1.0) * half_extent
    axis = axis.astype(np.float32)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)


def dilate_masks(masks: np.ndarray, pixels: int) -> np.ndarray:
    """[V, height, width] masks grown by a square of `pixels` in every direction.

    The maximum over the window, so soft masks stay soft.
    """
    if pixels <= 0:
        return np.asarray(masks)
    side = 2 * pixels + 1
    masks = np.asarray(masks, np.float32)
    return maximum_filter(masks, size=(1, side, side), mode="constant", cval=-np.inf)


@partial(jax.jit, static_argnames=("num_outside", "extend"))
def visual_hull(
    points: Array, cameras: Cameras, masks: Array, num_outside: int = 0, extend: bool = False
) -> Array:
    """Which points project into the masks.

    Args:
      points: [..., 3].
      cameras: V cameras.
      masks: [V, height, width], above 0.5 is object.
      num_outside: how many masks may disagree; generated silhouettes do not match.
      extend: continue every picture by its border pixels instead, so that the hull is
        bounded; an object that the border cuts goes on beyond it.

    Returns:
      [...] bool; a point outside a picture (unless `extend`), or behind its camera, is
      not carved by it.
    """

    def carve(count, view):
        intrinsics, w2c, mask = view
        pixels, depth = project(intrinsics, w2c, points)
        pixels = jnp.clip(pixels, -1.0, max(cameras.width, cameras.height) + 1.0)
        x = jnp.floor(pixels[..., 0]).astype(jnp.int32)
        y = jnp.floor(pixels[..., 1]).astype(jnp.int32)
        seen = depth > 0
        if not extend:
            seen &= (x >= 0) & (x < cameras.width) & (y >= 0) & (y < cameras.height)
        inside = mask[y.clip(0, cameras.height - 1), x.clip(0, cameras.width - 1)] > 0.5
        return count + (seen & ~inside), None

    views = (jnp.asarray(cameras.intrinsics), jnp.asarray(cameras.w2c), jnp.asarray(masks))
    misses, _ = jax.lax.scan(carve, jnp.zeros(points.shape[:-1], jnp.int32), views)
    return misses <= num_outside


def hull_points(cameras: Cameras, masks: np.ndarray, resolution: int = 96) -> np.ndarray:
    """Where each pixel's ray meets the visual hull.

    Args:
      cameras: V cameras.
      masks: [V, height, width], above 0.5 is object.
      resolution: cells of the hull along each axis of the object's cube.

    Returns:
      [V, height, width, 3] float32 points. A ray that misses the hull has its point on the
      plane through the origin that faces the camera.
    """
    cells = grid_centers(resolution, HALF_EXTENT)
    occupied = visual_hull(cells, cameras, masks, extend=True)
    return np.stack([first_hits(occupied, cameras, view)[0] for view in range(len(masks))])


@jax.jit
def first_hits(occupied: Array, cameras: Cameras, view: Array) -> tuple[Array, Array]:
    """Where the rays of one view meet occupied cells first.

    Args:
      occupied: [G, G, G] bool, cells of the sampled cube.
      cameras: V cameras.
      view: which of them.

    Returns:
      points [height, width, 3], on the plane through the origin that faces the camera where a
      ray misses, and hit [height, width] bool.
    """
    rays, resolution = image_rays(cameras, view), len(occupied)
    steps = 2 * resolution

    def march(step, carry):
        points, found = carry
        t = rays.near + (step + 0.5) / steps * (rays.far - rays.near)
        places = rays.origins + t * rays.directions
        cell = jnp.floor((places / (2.0 * HALF_EXTENT) + 0.5) * resolution).astype(jnp.int32)
        x, y, z = jnp.moveaxis(cell.clip(0, resolution - 1), -1, 0)
        hit = occupied[x, y, z] & ~found
        return jnp.where(hit[..., None], places, points), found | hit

    start = facing_plane(cameras, view), jnp.zeros(rays.view_index.shape, bool)
    return jax.lax.fori_loop(0, steps, march, start)


def facing_plane(cameras: Cameras, view: int) -> Array:
    """[height, width, 3] where a picture's rays meet the plane through the origin facing it."""
    rays = image_rays(cameras, view)
    # Depth along the axis grows by 1 per unit of t.
    depth = -jnp.sum(rays.origins * jnp.asarray(cameras.w2c)[view, 2, :3], -1, keepdims=True)
    return rays.origins + depth * rays.directions
