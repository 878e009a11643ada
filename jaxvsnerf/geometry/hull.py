"""Visual hull: the volume whose projection lies inside every mask."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import maximum_filter

from jaxvsnerf.geometry.cameras import HALF_EXTENT, image_rays, project
from jaxvsnerf.types import Array, Cameras


def grid_centers(resolution: int, half_extent: float) -> Array:
    """[G, G, G, 3] float32 cell centres of the cube [-half_extent, half_extent]^3, by x, y, z."""
    axis = ((np.arange(resolution) + 0.5) / resolution * 2.0 - 1.0) * half_extent
    axis = axis.astype(np.float32)
    # By jnp: jit programs compute the lattice; numpy's would be a constant of 12 G^3 bytes.
    return jnp.stack(jnp.meshgrid(axis, axis, axis, indexing="ij"), -1)


def dilate_masks(masks: np.ndarray, pixels: int) -> np.ndarray:
    """Dilates masks [V, height, width] by `pixels` in every direction (square window).

    Takes the maximum over the window, so that soft masks stay soft.
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
    """Tests which points lie inside the visual hull.

    Args:
      points: [..., 3] in the cameras' frame.
      cameras: V cameras.
      masks: [V, height, width], above 0.5 is object.
      num_outside: number of masks that may exclude a point of the hull; generated silhouettes
        do not match.
      extend: whether pictures continue beyond their border with the border pixels' values, which
        bounds the hull; an object cut by the border then continues beyond the border.

    Returns:
      [...] bool. A view does not carve points behind its camera, nor (unless `extend`) points
      outside its picture.
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
    """First intersection of each pixel's ray with the visual hull.

    Args:
      cameras: V cameras, in the object's cube.
      masks: [V, height, width], above 0.5 is object.
      resolution: hull cells along each axis of the sampled cube.

    Returns:
      [V, height, width, 3] float32 points; for rays that miss the hull, points on the plane
      through the origin that faces the camera.
    """
    cells = grid_centers(resolution, HALF_EXTENT)
    occupied = visual_hull(cells, cameras, masks, extend=True)
    return np.stack([first_hits(occupied, cameras, view)[0] for view in range(len(masks))])


@jax.jit
def first_hits(occupied: Array, cameras: Cameras, view: Array) -> tuple[Array, Array]:
    """First point in an occupied cell on each ray of one view.

    Args:
      occupied: [G, G, G] bool, cells of the sampled cube.
      cameras: V cameras, in the object's cube.
      view: index of the view.

    Returns:
      Points [height, width, 3], for rays that miss on the plane through the origin that faces the
      camera; and hit [height, width] bool.
    """
    rays, resolution = image_rays(cameras, view), len(occupied)
    steps = 2 * resolution

    def march(step, carry):
        points, found = carry
        t = rays.near + (step + 0.5) / steps * (rays.far - rays.near)
        places = rays.origins + t * rays.directions
        cell = jnp.floor((places / (2.0 * HALF_EXTENT) + 0.5) * resolution).astype(jnp.int32)
        x, y, z = jnp.moveaxis(cell.clip(0, resolution - 1), -1, 0)
        # Sample points of a ray that misses the cube lie outside all cells.
        inside = ((cell >= 0) & (cell < resolution)).all(-1)
        hit = occupied[x, y, z] & inside & ~found
        return jnp.where(hit[..., None], places, points), found | hit

    start = facing_plane(cameras, view), jnp.zeros(rays.view_index.shape, bool)
    return jax.lax.fori_loop(0, steps, march, start)


def facing_plane(cameras: Cameras, view: int) -> Array:
    """[height, width, 3] hits of a view's rays on the plane through the origin that faces it."""
    rays = image_rays(cameras, view)
    # Depth along the optical axis grows by 1 per unit of t.
    depth = -jnp.sum(rays.origins * jnp.asarray(cameras.w2c)[view, 2, :3], -1, keepdims=True)
    return rays.origins + depth * rays.directions
