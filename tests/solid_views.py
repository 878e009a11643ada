"""Views of a body of no symmetry, drawn in a moment, for tests of cameras and masks."""

import numpy as np
from scipy.ndimage import binary_closing

from jaxvsnerf.types import ViewSet


def solid_views(cameras, half=0.3):
    """White boxes before black; drawn by their points, which compiles no program.

    Args:
      cameras: perspective cameras, in the object's cube.
      half: half the body's length.
    """
    axis = np.linspace(-1.0, 1.0, 60)
    points = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    x, y, z = points.T
    solid = (np.abs(y) < 0.3) & (z < -0.3)
    solid |= (x > 0.3) & (np.abs(y) < 0.9) & (np.abs(z) < 0.4)
    solid |= (np.abs(x - 0.8) < 0.25) & (y > 0.3) & (z > 0.0)
    homogeneous = np.concatenate([half * points[solid], np.ones((solid.sum(), 1))], 1)
    masks = np.zeros((len(cameras.w2c), cameras.height, cameras.width), np.float32)
    for view, (k, w2c) in enumerate(zip(cameras.intrinsics, cameras.w2c, strict=True)):
        flat = homogeneous @ (k @ w2c).T
        column, row = (flat[:, :2] / flat[:, 2:]).astype(int).T
        shown = (0 <= row) & (row < cameras.height) & (0 <= column) & (column < cameras.width)
        masks[view, row[shown], column[shown]] = 1.0
    masks = binary_closing(masks, np.ones((1, 3, 3))).astype(np.float32)
    images = np.repeat(masks[..., None], 3, -1)
    return ViewSet(images, masks, cameras, np.zeros(3), tuple(map(str, range(len(masks)))))
