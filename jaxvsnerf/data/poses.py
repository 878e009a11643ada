"""Parses and checks poses and intrinsics of transforms files."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxvsnerf.errors import InputError

ROTATION_TOLERANCE = 1e-3


def parse_pose(matrix: Any, where: str) -> np.ndarray:
    """Checks a rigid transform from parsed JSON.

    Args:
      matrix: 4 x 4 or 3 x 4 numbers.
      where: name of the matrix, for messages.

    Returns:
      [3, 4] float64 with an exactly orthonormal rotation.

    Raises:
      InputError: wrong shape, NaN or infinity, or a rotation that mirrors or is not orthonormal
        within ROTATION_TOLERANCE.
    """
    try:
        pose = np.asarray(matrix, np.float64)
    except (TypeError, ValueError, OverflowError):
        pose = np.empty(0)
    if pose.shape not in ((4, 4), (3, 4)):
        raise InputError(f"{where} must be 4 x 4 (or 3 x 4) numbers, got shape {pose.shape}")
    if not np.isfinite(pose).all():
        raise InputError(f"{where} holds NaN or infinity")
    if pose.shape[0] == 4 and np.abs(pose[3] - [0, 0, 0, 1]).max() > 1e-6:
        raise InputError(f"{where}: the last row must be 0 0 0 1, got {pose[3].tolist()}")
    rotation = pose[:3, :3]
    error = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if error > ROTATION_TOLERANCE:
        raise InputError(
            f"{where}: the rotation is not orthonormal (|R R^T - I| = {error:.3g}, at most "
            f"{ROTATION_TOLERANCE:g}); a scale belongs into data.similarity, not into the pose"
        )
    if np.linalg.det(rotation) < 0:
        raise InputError(f"{where}: the rotation has determinant -1, a mirror; expected +1")
    u, _, vt = np.linalg.svd(rotation)
    return np.concatenate([u @ vt, pose[:3, 3:]], axis=1)


def opengl_to_w2c(c2w: np.ndarray) -> np.ndarray:
    """Converts an OpenGL camera-to-world to an OpenCV world-to-camera matrix, both [3, 4]."""
    # OpenGL cameras look along -z with y up: flip both.
    rotation = (c2w[:, :3] * np.array([1.0, -1.0, -1.0])).T
    return np.concatenate([rotation, -rotation @ c2w[:, 3:]], axis=1)


def finite_number(fields: dict[str, Any], name: str, where: str) -> float:
    """fields[name] as a finite float.

    Args:
      fields: parsed JSON that contains `name`.
      name: the field.
      where: name of the JSON object, for messages.

    Raises:
      InputError: the value is no finite number.
    """
    value = fields[name]
    # Compared, not converted first: JSON integers may exceed a float's range.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
        raise InputError(f"{where} has {name}={value!r}, expected a finite number")
    return float(value)


def frame_intrinsics(fields: dict[str, Any], width: int, height: int, where: str) -> np.ndarray:
    """Computes intrinsics from fl_x, fl_y, cx, cy or camera_angle_x, camera_angle_y.

    Args:
      fields: the frame's fields in the transforms file.
      width: picture width in pixels.
      height: picture height in pixels.
      where: name of the frame, for messages.

    Returns:
      [3, 3] float32 K in pixels. Focal lengths take precedence over angles, one focal length
      serves both axes, and the principal point defaults to the middle.

    Raises:
      InputError: no focal length, a number out of range, or w and h are not the picture's size.
    """
    for name, size in (("w", width), ("h", height)):
        if fields.get(name) is not None and finite_number(fields, name, where) != size:
            raise InputError(
                f"{where} says w={fields.get('w')}, h={fields.get('h')}, but the picture is "
                f"{width} x {height}; intrinsics and pictures must belong together (use "
                "data.downscale to shrink)"
            )
    focal_x = _focal(fields, "fl_x", "camera_angle_x", width, where)
    focal_y = _focal(fields, "fl_y", "camera_angle_y", height, where)
    focal_x = focal_y if focal_x is None else focal_x
    if focal_x is None:
        raise InputError(f"{where} has neither camera_angle_x nor fl_x: no focal length is known")
    focal_y = focal_x if focal_y is None else focal_y
    cx = finite_number(fields, "cx", where) if fields.get("cx") is not None else width / 2
    cy = finite_number(fields, "cy", where) if fields.get("cy") is not None else height / 2
    _refuse_other_size(cx / (width / 2), cy / (height / 2), width, height, where)
    return np.array([[focal_x, 0, cx], [0, focal_y, cy], [0, 0, 1]], np.float32)


def _refuse_other_size(right: float, down: float, width: int, height: int, where: str) -> None:
    """Refuses a principal point in the middle of pictures of another size.

    Args:
      right: cx as a multiple of the middle of the picture.
      down: cy as a multiple of the middle.
      width: picture width in pixels.
      height: picture height in pixels.
      where: name of the frame, for messages.

    Raises:
      InputError: both multiples are the same, and far from 1.
    """
    factor = 0.5 * (right + down)
    if right * width <= 2 or down * height <= 2:
        raise InputError(
            f"{where} has cx={right * width / 2:g} and cy={down * height / 2:g}: expected the "
            f"principal point in pixels, near {width / 2:g} and {height / 2:g}"
        )
    if 0.7 < factor < 1.4 or abs(right - down) > 0.03 * abs(factor):
        return
    raise InputError(
        f"{where} has cx={right * width / 2:g} and cy={down * height / 2:g}, the middle of a "
        f"{width * right:.0f} x {height * down:.0f} picture, but the picture is {width} x "
        f"{height}: the intrinsics belong to pictures {factor:.3g} times as large; divide fl_x, "
        f"fl_y, cx and cy by {factor:.3g}, or give the pictures of that size"
    )


def _focal(fields: dict[str, Any], focal: str, angle: str, size: int, where: str) -> float | None:
    """Focal length in pixels from `focal`, else from the field of view `angle`, else None."""
    if fields.get(focal) is not None:
        value = finite_number(fields, focal, where)
        if value <= 0:
            raise InputError(f"{where} has {focal}={value}, expected a positive number of pixels")
        return value
    if fields.get(angle) is None:
        return None
    value = finite_number(fields, angle, where)
    if not 0 < value < np.pi:
        raise InputError(f"{where} has {angle}={value}, expected radians within (0, pi)")
    return 0.5 * size / float(np.tan(0.5 * value))
