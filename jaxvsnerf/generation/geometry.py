"""Sampling positions: voxels projected to the views, and frustum points in the volume.

Both are constants of the model, computed on the host in float64 and stored as float32.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxvsnerf.generation.spec import FRUSTUM_DEPTH, IMAGE_SIZE, LATENT_SIZE, NUM_VIEWS, VOLUME_SIZE
from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.types import Array, Cameras

DISTANCE = 1.5
ELEVATION_DEG = 30.0
FOCAL_PX = 280.0
HALF_LENGTH = 0.5  # half the side of the spatial volume
HALF_DEPTH = 0.86603  # half the depth of a frustum, which is centred at DISTANCE
MIN_DEPTH = 1e-4  # least depth that a projection divides by


class Views(NamedTuple):
    """Sampling positions of V views, as fractional indices of latent pixels and of voxels.

    Attributes:
      pixels: [V, 32, 32, 32, 2] (row, column) of every voxel (z, y, x) in every view.
      voxels: [V, 48, 32, 32, 3] (z, y, x) of every frustum point (depth, row, column).
    """

    pixels: np.ndarray
    voxels: np.ndarray


def target_cameras() -> Cameras:
    """Cameras of the model's 16 target views, for pictures of 256 x 256 pixels."""
    azimuth = tuple(360.0 / NUM_VIEWS * k for k in range(NUM_VIEWS))
    return orbit_cameras(azimuth, ELEVATION_DEG, DISTANCE, FOCAL_PX, IMAGE_SIZE, IMAGE_SIZE)


@functools.cache
def target_views() -> Views:
    """Sampling positions of the model's 16 target views."""
    cameras = target_cameras()
    # Choice: as in the original, a latent pixel's position is a picture pixel's divided by 8,
    # without the shift of half a pixel.
    shrink = np.array([LATENT_SIZE / IMAGE_SIZE, LATENT_SIZE / IMAGE_SIZE, 1.0])
    intrinsics = shrink[:, None] * np.asarray(cameras.intrinsics, np.float64)
    rotation, translation = np.split(np.asarray(cameras.w2c, np.float64), [3], axis=-1)
    axis = np.linspace(-HALF_LENGTH, HALF_LENGTH, VOLUME_SIZE)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    points = np.stack([x, y, z], -1)
    in_camera = (
        np.einsum("vij,abcj->vabci", rotation, points) + translation[:, None, None, None, :, 0]
    )
    projected = np.einsum("vij,vabcj->vabci", intrinsics, in_camera)
    pixels = projected[..., :2] / np.maximum(projected[..., 2:], MIN_DEPTH)

    row, column = np.mgrid[:LATENT_SIZE, :LATENT_SIZE]
    rays = np.stack([column, row, np.ones_like(row)], -1) @ np.linalg.inv(intrinsics[0]).T
    depth = np.linspace(DISTANCE - HALF_DEPTH, DISTANCE + HALF_DEPTH, FRUSTUM_DEPTH)
    in_camera = depth[:, None, None, None] * rays
    # R^T (x - t), as row vectors.
    world = np.einsum(
        "vji,vdhwj->vdhwi", rotation, in_camera - translation[:, None, None, None, :, 0]
    )
    voxels = (world / HALF_LENGTH + 1.0) * 0.5 * (VOLUME_SIZE - 1)
    return Views(pixels[..., ::-1].astype(np.float32), voxels[..., ::-1].astype(np.float32))


def interpolate(values: Array, positions: Array) -> Array:
    """Interpolates a grid multilinearly; values outside the grid are zero.

    Args:
      values: [*sizes, C] grid of n axes, and channels.
      positions: [..., n] fractional indices; integers are grid points.

    Returns:
      [..., C], of the dtype of `values`.
    """
    sizes = values.shape[:-1]
    flat = values.reshape(-1, values.shape[-1])
    first = jnp.floor(positions)
    offset = positions - first
    first = first.astype(jnp.int32)
    total = 0.0
    for corner in np.ndindex((2,) * len(sizes)):
        index, weight = 0, 1.0
        for axis, (step, size) in enumerate(zip(corner, sizes, strict=True)):
            at, part = first[..., axis] + step, offset[..., axis]
            inside = (at >= 0) & (at < size)
            weight = weight * jnp.where(inside, part if step else 1.0 - part, 0.0)
            index = index * size + jnp.clip(at, 0, size - 1)
        total = total + flat[index] * weight[..., None].astype(values.dtype)
    return total
