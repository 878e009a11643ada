"""Cameras, modes and pictures of the live viewer."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from jaxvsnerf.fields.neus import NORMAL
from jaxvsnerf.geometry.cameras import camera_centers, magnification, optical_axes, take
from jaxvsnerf.metrics.disagreement import disagreement
from jaxvsnerf.pictures.images import (
    DIFFERENCE_SHOWN,
    depth_picture,
    difference_picture,
    normal_picture,
    opacity_picture,
)
from jaxvsnerf.rendering.images import Picture
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.types import Cameras

SHOWN = ("colour", "depth", "opacity", "normals", "disagreement")
# Mode of a stage's field -> modes in which its views can be combined, the stage's own first.
COMBINATIONS = {
    "single": ("single",),
    "canonical": ("canonical", "average", "nearest"),
    "fused": ("fused", "canonical", "average", "nearest"),
}
VIEW, PHOTO = "view ", "photo"
# Choice: all pictures have this aspect ratio, whatever the window's, so that one compiled program
# serves every window; pixels are square in a window of this aspect ratio.
ASPECT = 1.5
FAR_AWAY = 100.0
# Difference between the views' branches that is shown brightest. Choice: a quarter of the one for
# pictures, because branches start as copies of one branch and stay close during training.
SPREAD_SHOWN = DIFFERENCE_SHOWN / 4


class Pose(NamedTuple):
    """A camera in the form of the viewer.

    Attributes:
      wxyz: [4] unit quaternion, camera to world, OpenCV axes.
      position: [3] camera centre in the world.
      fov: vertical field of view in radians.
      look_at: [3] point of the optical axis nearest to the origin.
    """

    wxyz: np.ndarray
    position: np.ndarray
    fov: float
    look_at: np.ndarray


def to_cameras(
    wxyz: np.ndarray, position: np.ndarray, fov: float, aspect: float, height: int
) -> Cameras:
    """Camera that fills a viewer's window with a picture of aspect ratio ASPECT.

    Args:
      wxyz: [4] quaternion, camera to world, OpenCV axes.
      position: [3] camera centre in the world.
      fov: vertical field of view in radians, in (0, pi).
      aspect: width over height of the window.
      height: height of the picture in pixels.

    Returns:
      One camera; pixels are stretched horizontally to the window's aspect ratio.
    """
    width = round(ASPECT * height)
    turn = Rotation.from_quat(np.roll(np.asarray(wxyz, np.float64), -1)).as_matrix().T
    focal_y = height / (2.0 * np.tan(fov / 2.0))
    focal_x = focal_y * width / (aspect * height)
    k = [[focal_x, 0.0, width / 2], [0.0, focal_y, height / 2], [0.0, 0.0, 1.0]]
    w2c = np.concatenate([turn, -turn @ np.asarray(position, np.float64)[:, None]], -1)
    return Cameras(np.asarray([k], np.float32), w2c[None].astype(np.float32), width, height)


def to_pose(cameras: Cameras, view: int) -> Pose:
    """Pose from which the viewer shows approximately the picture of an input view.

    A viewer's camera is perspective with a centred principal point; an orthographic camera becomes
    the perspective camera of the same magnification at the origin.
    """
    one = take(cameras, [view])
    position, axis = camera_centers(one)[0], np.asarray(optical_axes(one))[0]
    distance = max(float(-position @ axis), 1e-3)
    pixels = magnification(one, np.asarray([distance]))[0, 1]
    xyzw = Rotation.from_matrix(np.asarray(one.w2c, np.float64)[0, :, :3].T).as_quat()
    fov = 2.0 * np.arctan(cameras.height / (2.0 * pixels * distance))
    return Pose(np.roll(xyzw, 1), position, float(fov), position + distance * axis)


def modes_of(field: TrainedField, photo: bool = False) -> tuple[str, ...]:
    """Modes in which the views of a stage's field can be combined, the stage's own mode first.

    A stage with branches also offers each view's own branch, 'view 0', 'view 1' ...

    Args:
      field: field of a stage, in the stage's own mode.
      photo: whether the last branch is the photo's; its mode is then 'photo'.
    """
    if field.mode == "single":
        return COMBINATIONS[field.mode]
    views = (f"{VIEW}{view}" for view in range(field.field.spec.num_views - photo))
    return (*COMBINATIONS[field.mode], *views, *(PHOTO,) * photo)


def in_mode(field: TrainedField, mode: str) -> TrainedField:
    """Returns the field with its views combined in one of the modes of `modes_of`."""
    if mode == PHOTO:
        return field.branch(field.field.spec.num_views - 1)
    if mode.startswith(VIEW):
        return field.branch(int(mode.removeprefix(VIEW)))
    return replace(field, mode=mode)


def shown_of(field: TrainedField) -> tuple[str, ...]:
    """What a field can show: all of SHOWN, `normals` for a field of signed distances alone."""
    signed = field.level is not None
    return tuple(one for one in SHOWN if signed or one != "normals")


def look_at_field(
    field: TrainedField, mode: str, shown: str, camera: Cameras
) -> tuple[np.ndarray, np.ndarray]:
    """Renders a picture of a field and its depth.

    Args:
      field: field of a stage, in the stage's own mode.
      mode: one of `modes_of`.
      shown: one of `shown_of`. `disagreement` is the difference between the views' own branches and
        the rendering in `mode`, averaged over views; 0 for a field of one branch.
      camera: one camera.

    Returns:
      Picture [H, W, 3] float32 in [0, 1], and depth [H, W] along the optical axis, FAR_AWAY in
      empty pixels.

    Raises:
      ValueError: `shown` is not one of `shown_of`.
    """
    if shown not in shown_of(field):
        raise ValueError(f"expected to show one of {', '.join(shown_of(field))}, got {shown!r}")
    picture = in_mode(field, mode).render(camera)
    rgb, acc, distance = picture.rgb[0], picture.acc[0], picture.distance[0]
    depth = np.where(acc >= 0.5, distance, FAR_AWAY)
    if shown == "depth":
        return depth_picture(distance, acc), depth
    if shown == "opacity":
        return opacity_picture(acc), depth
    if shown == "normals":
        return normal_picture(picture.extras[NORMAL][0], acc), depth
    if shown == "disagreement":
        brighter = DIFFERENCE_SHOWN / SPREAD_SHOWN
        return difference_picture(brighter * _spread(field, picture, camera), acc), depth
    return rgb, depth


def _spread(field: TrainedField, picture: Picture, camera: Cameras) -> np.ndarray:
    """[H, W] difference between the views' own branches and a picture, averaged over views."""
    if field.mode == "single":
        return np.zeros(picture.acc.shape[1:], np.float32)
    views = range(field.field.spec.num_views)
    own = np.concatenate([field.branch(view).render(camera).rgb for view in views])
    return disagreement(own, np.broadcast_to(picture.rgb, own.shape)).mean(0)
