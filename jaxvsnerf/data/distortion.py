"""Lens distortion: refused where it moves a pixel, let pass where it moves none visibly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxvsnerf.data.poses import finite_number
from jaxvsnerf.errors import InputError

NAMES = ("k", "k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
# Largest shift of a corner that is let pass, in pixels: optimisers leave such numbers, and poses
# are no better.
LEAST_SHIFT_PX = 0.1


def check_undistorted(
    fields: Mapping[str, Any], intrinsics: np.ndarray, width: int, height: int, where: str
) -> None:
    """Refuses a lens that moves a corner of the picture by a tenth of a pixel or more.

    Args:
      fields: numbers of OpenCV's model by the names of NAMES (`k` is k1); others are left out.
      intrinsics: [3, 3] K in pixels.
      width: picture width in pixels.
      height: picture height in pixels.
      where: name of the frame, for messages.

    Raises:
      InputError: the lens is distorted, or a number is not finite.
    """
    numbers = {name: finite_number(fields, name, where) for name in NAMES if name in fields}
    shift = corner_shift_px(numbers, intrinsics, width, height)
    if not shift < LEAST_SHIFT_PX:
        what = ", ".join(f"{name}={value:g}" for name, value in numbers.items() if value)
        raise InputError(
            f"{where} has lens distortion {what}, which is not supported: it moves a corner by "
            f"{shift:.3g} pixels (less than {LEAST_SHIFT_PX:g} is let pass); undistort the "
            "pictures first, e.g. with COLMAP's image_undistorter"
        )


def corner_shift_px(
    numbers: Mapping[str, float], intrinsics: np.ndarray, width: int, height: int
) -> float:
    """How far OpenCV's distortion moves the corner that it moves most.

    Args:
      numbers: numbers of the model by the names of NAMES; absent ones are 0.
      intrinsics: [3, 3] K in pixels.
      width: picture width in pixels.
      height: picture height in pixels.

    Returns:
      The distance in pixels; NaN or infinite if the model is.

    Source: OpenCV's documentation of `calib3d`, the rational model with tangential distortion.
    """
    k1, k2, k3, k4, k5, k6, p1, p2 = (numbers.get(name, 0.0) for name in NAMES[1:])
    k1 += numbers.get("k", 0.0)
    focal = np.diag(np.asarray(intrinsics, np.float64))[:2]
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    xy = (corners - np.asarray(intrinsics, np.float64)[:2, 2]) / focal
    with np.errstate(all="ignore"):  # a shift that is not finite is refused
        r2 = (xy**2).sum(1, keepdims=True)
        radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        across = 2 * np.prod(xy, 1, keepdims=True) * [p1, p2]
        shift = xy * (radial - 1) + across + [p2, p1] * (r2 + 2 * xy**2)
        return float(np.linalg.norm(shift * focal, axis=1).max())
