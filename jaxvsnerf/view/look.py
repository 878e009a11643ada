"""What the live viewer shows: cameras as viewers have them, modes, and pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import camera_centers, magnification, optical_axes, take
from jaxvsnerf.metrics.disagreement import disagreement
from jaxvsnerf.pictures.images import (
    DIFFERENCE_SHOWN,
    depth_picture,
    difference_picture,
    opacity_picture,
)
from jaxvsnerf.rendering.images import Picture
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.types import Cameras

SHOWN = ("colour", "depth", "opacity", "disagreement")
# How a stage's field can combine views, its own way first.
COMBINATIONS = {
    "single": ("single",),
    "canonical": ("canonical", "average", "nearest"),
    "fused": ("fused", "canonical", "average", "nearest"),
}
VIEW, PHOTO = "view ", "photo"
# Choice: pictures are this many times as wide as high whatever the window, so that one program
# serves every window; their pixels are square in a window of this shape.
ASPECT = 1.5
FAR_AWAY = 100.0
# The spread of the views' branches that is shown brightest. Choice: a quarter of what pictures
# may differ, since branches are copies of one that are held together while they train.
SPREAD_SHOWN = DIFFERENCE_SHOWN / 4


class Pose(NamedTuple):
    """A camera as viewers have it.

    Attributes:
      wxyz: [4] unit quaternion, camera to world, OpenCV axes.
      position: [3] in the world.
      fov: vertical angle of view in radians.
      look_at: [3] the point of its axis that is nearest to the origin.
    """

    wxyz: np.ndarray
    position: np.ndarray
    fov: float
    look_at: np.ndarray


def to_cameras(
    wxyz: np.ndarray, position: np.ndarray, fov: float, aspect: float, height: int
) -> Cameras:
    """One camera that fills a viewer's window with a picture of a fixed shape.

    Args:
      wxyz: [4] quaternion, camera to world, OpenCV axes.
      position: [3] in the world.
      fov: vertical angle of view in radians.
      aspect: the window's width over its height.
      height: of the picture in pixels.

    Returns:
      The camera; its pixels are as wide as they must be for the window.
    """
    width = round(ASPECT * height)
    turn = Rotation.from_quat(np.roll(np.asarray(wxyz, np.float64), -1)).as_matrix().T
    focal_y = height / (2.0 * np.tan(fov / 2.0))
    focal_x = focal_y * width / (aspect * height)
    k = [[focal_x, 0.0, width / 2], [0.0, focal_y, height / 2], [0.0, 0.0, 1.0]]
    w2c = np.concatenate([turn, -turn @ np.asarray(position, np.float64)[:, None]], -1)
    return Cameras(np.asarray([k], np.float32), w2c[None].astype(np.float32), width, height)


def to_pose(cameras: Cameras, view: int) -> Pose:
    """The pose from which a viewer sees about what an input view shows.

    A viewer's camera is perspective and looks at the middle of its picture; an orthographic
    one becomes the perspective camera of the same size at the origin's distance.
    """
    one = take(cameras, [view])
    position, axis = camera_centers(one)[0], np.asarray(optical_axes(one))[0]
    distance = max(float(-position @ axis), 1e-3)
    pixels = magnification(one, np.asarray([distance]))[0, 1]
    xyzw = Rotation.from_matrix(np.asarray(one.w2c, np.float64)[0, :, :3].T).as_quat()
    fov = 2.0 * np.arctan(cameras.height / (2.0 * pixels * distance))
    return Pose(np.roll(xyzw, 1), position, float(fov), position + distance * axis)


def modes_of(field: TrainedField, photo: bool = False) -> tuple[str, ...]:
    """How views of a field, as a run's stage has it, can be combined; its own way first.

    Each view's own branch is 'view 0', 'view 1' ... where a stage has them, the last of them
    'photo' in a run that has the photo as one more view.
    """
    if field.mode == "single":
        return COMBINATIONS[field.mode]
    views = (f"{VIEW}{view}" for view in range(field.field.spec.num_views - photo))
    return (*COMBINATIONS[field.mode], *views, *(PHOTO,) * photo)


def in_mode(field: TrainedField, mode: str) -> TrainedField:
    """The field with its views combined as one of `modes_of` says."""
    if mode == PHOTO:
        return field.branch(field.field.spec.num_views - 1)
    if mode.startswith(VIEW):
        return field.branch(int(mode.removeprefix(VIEW)))
    return replace(field, mode=mode)


def look_at_field(
    field: TrainedField, mode: str, shown: str, camera: Cameras
) -> tuple[np.ndarray, np.ndarray]:
    """A picture of a field, and how far away what it shows is.

    Args:
      field: as a run's stage has it.
      mode: one of `modes_of`.
      shown: one of SHOWN. `disagreement` is how far the views' own branches are from what the
        mode shows, mean over the views; none where there is one branch.
      camera: one camera.

    Returns:
      picture [H, W, 3] float32 in [0, 1]; depth [H, W] along the camera's axis, FAR_AWAY where
      nothing is.

    Raises:
      ValueError: `shown` is something else.
    """
    if shown not in SHOWN:
        raise InputError(f"expected to show one of {', '.join(SHOWN)}, got {shown!r}")
    picture = in_mode(field, mode).render(camera)
    rgb, acc, distance = picture.rgb[0], picture.acc[0], picture.distance[0]
    depth = np.where(acc >= 0.5, distance, FAR_AWAY)
    if shown == "depth":
        return depth_picture(distance, acc), depth
    if shown == "opacity":
        return opacity_picture(acc), depth
    if shown == "disagreement":
        brighter = DIFFERENCE_SHOWN / SPREAD_SHOWN
        return difference_picture(brighter * _spread(field, picture, camera), acc), depth
    return rgb, depth


def _spread(field: TrainedField, picture: Picture, camera: Cameras) -> np.ndarray:
    """[H, W] how far the views' own branches are from a picture, mean over the views."""
    if field.mode == "single":
        return np.zeros(picture.acc.shape[1:], np.float32)
    views = range(field.field.spec.num_views)
    own = np.concatenate([field.branch(view).render(camera).rgb for view in views])
    return disagreement(own, np.broadcast_to(picture.rgb, own.shape)).mean(0)
