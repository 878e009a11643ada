"""Finds which way is up in a capture whose frame is arbitrary, from the cameras alone."""

from __future__ import annotations

import numpy as np

from jaxvsnerf.types import Cameras

# The horizontal axes of cameras that are held level lie in one plane. The plane is believed if
# the axes' mean square along its normal is at most this share of the next smaller direction's:
# cameras held within 10 degrees of level over a quarter of a turn reach 0.15.
FLAT = 0.2
# Smallest mean square along the plane's second direction: below, all axes point the same way,
# which is a capture from one side.
SPREAD = 0.02
# Share below which the x axes are taken without a look at pictures stored sideways.
CLEAR = 0.05
# Mean share of an axis along the normal that tells the normal's sign: of the upward axes, and of
# the viewing axes of pictures stored sideways.
SIGN, SIGN_SIDEWAYS = 0.15, 0.02


def camera_up(cameras: Cameras) -> np.ndarray | None:
    """[3] unit direction that the cameras hold upwards, or None if they do not agree.

    Photographers and turntables keep a side of the picture level, so one picture axis of all
    cameras is horizontal: usually x, or y if pictures are stored sideways. The direction across
    all those axes is vertical, whatever the cameras' elevations, also if all look steeply down.

    Args:
      cameras: V cameras in any frame.
    """
    rotation = np.asarray(cameras.w2c, np.float64)[:, :, :3]
    right, down, ahead = (rotation[:, axis] for axis in range(3))
    found = []
    for level, upward in ((right, -down), (down, right), (down, -right)):
        values, vectors = np.linalg.eigh(level.T @ level / len(level))
        normal = vectors[:, 0]
        if values[1] < SPREAD or values[0] > FLAT * values[1]:
            continue
        share = float((upward @ normal).mean())
        if abs(share) < SIGN:  # straight from above, which is likelier than from below
            share = -float((ahead @ normal).mean())
        up, flat = np.sign(share) * normal, float(values[0] / values[1])
        if level is right and flat < CLEAR:
            return up
        # Sideways pictures were turned one way or the other: cameras look down rather than up.
        if level is right or float((ahead @ up).mean()) < -SIGN_SIDEWAYS:
            found.append((flat, up))
    return min(found, key=lambda one: one[0])[1] if found else None


def turn_upright(up: np.ndarray) -> np.ndarray:
    """[3, 3] smallest proper rotation that turns the direction `up` to +z."""
    x, y, z = np.asarray(up, np.float64) / np.linalg.norm(up)
    if z < -1.0 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    turn = np.array([[0.0, 0.0, -x], [0.0, 0.0, -y], [x, y, 0.0]])
    return np.eye(3) + turn + turn @ turn / (1.0 + z)


def tilt_deg(up: np.ndarray) -> float:
    """Angle in degrees between a unit direction and +z."""
    return float(np.rad2deg(np.arccos(np.clip(up[2], -1.0, 1.0))))
