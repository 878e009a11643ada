"""Finds the similarity that brings a captured object into the cube of side 1."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import magnification
from jaxvsnerf.geometry.hull import dilate_masks, grid_centers, visual_hull
from jaxvsnerf.types import Cameras, Similarity

# Cells along an axis of the coarse and of the refined hull.
COARSE_CELLS = 48
FINE_CELLS = 64
# Smallest allowed eigenvalue of the mean of (I - d d^T) over the optical axes d: below, the axes
# are nearly parallel (about 3 degrees apart) and their common point is undefined.
MIN_SPREAD = 1e-3
_EXPLICIT = "give data.similarity=(scale, tx, ty, tz) explicitly"


def explicit_similarity(
    numbers: tuple[float, ...], rotation: np.ndarray | None = None
) -> Similarity:
    """Makes the similarity x_cube = scale * rotation x_source + (tx, ty, tz).

    Args:
      numbers: (scale, tx, ty, tz), finite, scale positive.
      rotation: [3, 3] proper rotation, or None for no rotation.

    Returns:
      The similarity.

    Raises:
      InputError: not four finite numbers with a positive scale.
    """
    if len(numbers) != 4 or not np.all(np.isfinite(numbers)) or numbers[0] <= 0:
        raise InputError(
            "data.similarity must be () to be found, or four finite numbers (scale, tx, ty, tz) "
            f"with a positive scale; got {tuple(numbers)}"
        )
    rotation = np.eye(3) if rotation is None else rotation
    return _similarity(numbers[0], np.asarray(numbers[1:], np.float64), rotation)


def find_similarity(
    cameras: Cameras, masks: np.ndarray | None, rotation: np.ndarray | None = None
) -> Similarity:
    """Finds the similarity that moves the object into the cube.

    With masks, the bounding box of their visual hull is fitted into the cube of side 1. Without
    masks, the point closest to all optical axes becomes the origin, and the smallest half frame at
    that point becomes half a side. A single camera looks at the source's origin: the point of its
    axis that is closest to the origin is taken.

    Args:
      cameras: V cameras in the source's frame.
      masks: [V, height, width], above 0.5 is object, or None.
      rotation: [3, 3] proper rotation to apply before, or None for no rotation.

    Returns:
      Similarity from the source's frame to the cube.

    Raises:
      InputError: the cameras do not look at a common point, or the masks share no volume.
    """
    rotation = np.eye(3) if rotation is None else np.asarray(rotation, np.float64)
    w2c = np.array(cameras.w2c, np.float64)
    w2c[:, :, :3] = w2c[:, :, :3] @ rotation.T
    cameras = cameras.replace(w2c=w2c)
    origin = _centers_and_axes(cameras)[0].mean(0)
    scale, translation = _fit_cube(_from_origin(cameras, origin), masks, -origin)
    return _similarity(scale, translation - scale * origin, rotation)


def _from_origin(cameras: Cameras, origin: np.ndarray) -> Cameras:
    """Moves cameras to the frame x - origin.

    In a frame near the cameras float32 is precise enough for a hull, however far the source's
    origin is.
    """
    w2c = np.array(cameras.w2c, np.float64)
    w2c[:, :, 3] += w2c[:, :, :3] @ origin
    return cameras.replace(w2c=w2c)


def _fit_cube(
    cameras: Cameras, masks: np.ndarray | None, origin: np.ndarray
) -> tuple[float, np.ndarray]:
    """Scale and translation [3] of `find_similarity`; `origin` [3] is the source's."""
    pivot, half_frames = _common_point(cameras, origin)
    if masks is None:
        return _fit_box(pivot - half_frames.min(), pivot + half_frames.min())
    # Views that show the whole object cannot show more of it than the largest half frame.
    low, high = _hull_box(cameras, masks, pivot, half_frames.max(), COARSE_CELLS, coarse=True)
    centre, half = 0.5 * (low + high), 0.5 * float(np.max(high - low))
    low, high = _hull_box(cameras, masks, centre, half, FINE_CELLS, coarse=False)
    return _fit_box(low, high)


def _common_point(cameras: Cameras, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[3] point closest to all optical axes, and [V] half frames at the point's depth.

    On the axis of a single camera, the point is the one closest to `origin` [3].
    """
    centers, axes = _centers_and_axes(cameras)
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    if len(centers) == 1:
        along = axes[0] * np.dot(axes[0], origin - centers[0])
        return _with_half_frames(cameras, centers[0] + along)
    if np.linalg.eigvalsh(across.mean(0))[0] < MIN_SPREAD:
        raise InputError(
            f"the {len(centers)} cameras look along almost the same direction, which does not "
            f"determine the object's place; {_EXPLICIT}"
        )
    point = np.linalg.solve(across.sum(0), np.einsum("vij,vj->i", across, centers))
    return _with_half_frames(cameras, point)


def _with_half_frames(cameras: Cameras, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The point [3], and [V] half frames at its depth; refuses cameras that look away from it."""
    centers, axes = _centers_and_axes(cameras)
    depth = np.einsum("vi,vi->v", axes, point - centers)
    if np.any(depth <= 0):
        raise InputError(
            f"{int(np.sum(depth <= 0))} of {len(depth)} cameras look away from the point closest "
            "to all optical axes; a capture round one object is expected (transform_matrix is "
            f"camera-to-world, OpenGL axes: the camera looks along -z). Else {_EXPLICIT}"
        )
    half = 0.5 * np.array([cameras.width, cameras.height]) / magnification(cameras, depth)
    return point, half.min(1)


def _centers_and_axes(cameras: Cameras) -> tuple[np.ndarray, np.ndarray]:
    """[V, 3] centres and [V, 3] optical axes, in float64 for sources far from the origin."""
    w2c = np.asarray(cameras.w2c, np.float64)
    return -np.einsum("vji,vj->vi", w2c[:, :, :3], w2c[:, :, 3]), w2c[:, 2, :3]


def _hull_box(
    cameras: Cameras,
    masks: np.ndarray,
    centre: np.ndarray,
    half: float,
    cells: int,
    coarse: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the hull's bounding box within centre +- half."""
    masks = np.asarray(masks > 0.5, np.float32)
    if coarse:
        cameras, masks = _coarse_views(cameras, masks, centre, 2.0 * half / cells)
    points = grid_centers(cells, half) + jnp.asarray(centre, jnp.float32)
    # Choice: masks of real captures may fail in a few views; tolerate one view in ten, but only
    # if all views together leave an empty hull.
    for num_outside in sorted({0, len(masks) // 10}):
        hull = np.asarray(visual_hull(points, cameras, masks, num_outside, extend=True))
        if hull.any():
            break
    else:
        raise InputError(
            f"the {len(masks)} masks share no volume: poses and masks disagree; check the poses' "
            f"convention and the masks, {_EXPLICIT}, or take data.mask=none"
        )
    inside = np.argwhere(hull)
    step = 2.0 * half / cells
    return centre - half + step * inside.min(0), centre - half + step * (inside.max(0) + 1)


def _coarse_views(
    cameras: Cameras, masks: np.ndarray, centre: np.ndarray, cell: float
) -> tuple[Cameras, np.ndarray]:
    """Shrinks and dilates masks so that testing a cell's centre cannot miss its content."""
    centers, axes = _centers_and_axes(cameras)
    depth = np.einsum("vi,vi->v", axes, centre - centers)
    cell_px = float(np.max(cell * magnification(cameras, depth)[:, 0]))
    factor = max(1, int(cell_px / 2))
    height, width = -(-masks.shape[1] // factor), -(-masks.shape[2] // factor)
    padding = ((0, 0), (0, height * factor - masks.shape[1]), (0, width * factor - masks.shape[2]))
    blocks = np.pad(masks, padding, mode="edge")
    blocks = blocks.reshape(len(masks), height, factor, width, factor).max(axis=(2, 4))
    # Half a cell's diagonal in shrunken pixels, doubled for the cells in front of the centre.
    grown = dilate_masks(blocks, int(np.ceil(np.sqrt(3.0) * cell_px / factor)))
    shrunk = np.diag([1.0 / factor, 1.0 / factor, 1.0]).astype(np.float32)
    cameras = cameras.replace(
        intrinsics=shrunk @ np.asarray(cameras.intrinsics), width=width, height=height
    )
    return cameras, grown


def _fit_box(low: np.ndarray, high: np.ndarray) -> tuple[float, np.ndarray]:
    """Scale and translation [3] that make the box the cube's largest centred fit."""
    scale = 1.0 / float(np.max(high - low))
    return scale, -scale * 0.5 * (low + high)


def _similarity(scale: float, translation: np.ndarray, rotation: np.ndarray) -> Similarity:
    """Similarity in float64, which large translations need."""
    return Similarity(np.float64(scale), rotation, np.asarray(translation, np.float64))
