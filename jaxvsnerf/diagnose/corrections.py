"""Corrections of the usual mistakes in cameras and in the order of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from jaxvsnerf.geometry.cameras import camera_centers, orbit_cameras
from jaxvsnerf.types import Cameras

LENS = "wrong field of view"
ORDER = "views in the wrong order"
# Views whose agreement is below this share of the median are candidates for an exchange, and the
# largest number of candidates.
STRANGE = 0.8
MOST_SWAPPED = 5


class Correction(NamedTuple):
    """A correction to try.

    Attributes:
      name: name of the mistake.
      advice: how to correct the mistake.
      cameras: V corrected cameras, in the source's frame.
      order: V indices of the pictures that belong to the cameras, or None for the given order.
    """

    name: str
    advice: str
    cameras: Cameras
    order: tuple[int, ...] | None = None


def pose_corrections(cameras: Cameras) -> Iterator[Correction]:
    """Yields corrections for poses given in another convention than they were read in."""
    w2c = np.asarray(cameras.w2c, np.float64)
    flip = np.diag([1.0, -1.0, -1.0])

    def with_poses(rotation: np.ndarray, translation: np.ndarray) -> Cameras:
        moved = np.concatenate([rotation, translation[..., None]], -1)
        return cameras.replace(w2c=moved.astype(np.float32))

    rotation, translation = w2c[:, :, :3], w2c[:, :, 3]
    yield Correction(
        "camera axes flipped",
        "the poses have the other axes of a camera (OpenCV's x right, y down, z forward, for "
        "OpenGL's x right, y up, z back, or the reverse): change the sign of columns 2 and 3 of "
        "each camera-to-world matrix",
        with_poses(flip @ rotation, translation @ flip),
    )
    # The matrices in the file, read as camera-to-world with OpenGL axes, were world-to-camera.
    back = np.swapaxes(rotation, 1, 2)
    centers = -np.einsum("vij,vj->vi", back, translation)
    for axes, note in ((flip, "OpenGL"), (np.eye(3), "OpenCV")):
        yield Correction(
            "world-to-camera given for camera-to-world",
            f"invert the matrices (world-to-camera with {note} axes was given; camera-to-world is "
            "expected)",
            with_poses(axes @ back @ flip, centers @ axes),
        )
    yield Correction(
        "rotations transposed",
        "transpose the rotation part of the poses and keep the camera centres",
        with_poses(back, -np.einsum("vij,vj->vi", back, centers)),
    )
    yield from _angle_corrections(cameras)


def _orbit(cameras: Cameras) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Azimuths and elevations in degrees and the distance; None unless cameras form an orbit."""
    centers = camera_centers(cameras)
    distance = np.linalg.norm(centers, axis=-1)
    if distance.min() < 1e-6 or np.ptp(distance) > 1e-3 * distance.mean():
        return None
    towards = centers / distance[:, None]
    azimuth = np.rad2deg(np.arctan2(towards[:, 1], towards[:, 0]))
    elevation = np.rad2deg(np.arcsin(towards[:, 2].clip(-1, 1)))
    again = _from_angles(cameras, azimuth, elevation, float(distance.mean()))
    if np.abs(np.asarray(again.w2c) - np.asarray(cameras.w2c)).max() > 1e-2 * distance.mean():
        return None
    return azimuth, elevation, float(distance.mean())


def _from_angles(
    cameras: Cameras, azimuth: np.ndarray, elevation: np.ndarray, distance: float
) -> Cameras:
    made = orbit_cameras(azimuth, elevation, distance, 1.0, cameras.width, cameras.height)
    return cameras.replace(w2c=made.w2c)


def _angle_corrections(cameras: Cameras) -> Iterator[Correction]:
    """Yields corrections for orbit angles in the other unit or of the other sign."""
    orbit = _orbit(cameras)
    if orbit is None:
        return
    azimuth, elevation, distance = orbit
    yield Correction(
        ORDER,
        "the views go round the other way: change the sign of the azimuths, or reverse the "
        "pictures",
        _from_angles(cameras, -azimuth, elevation, distance),
    )
    span = np.rad2deg(1.0)
    if np.abs(azimuth - azimuth[0]).max() < 6.3:
        both = (np.rad2deg(azimuth), np.rad2deg(elevation))
        for one in (both[1], elevation):
            if np.abs(one).max() <= 90.0:
                yield Correction(
                    "radians given for degrees",
                    "the angles are in radians, degrees are expected: multiply by 180 / pi",
                    _from_angles(cameras, both[0], one, distance),
                )
    even = 360.0 * np.arange(len(azimuth)) / len(azimuth)
    for sign in (1.0, -1.0):
        off = (azimuth - azimuth[0] - sign * span * even + 180.0) % 360.0 - 180.0
        if len(azimuth) > 2 and np.abs(off).max() < 1.0:
            for one in _angles_before(elevation[0], span):
                yield Correction(
                    "degrees taken for radians",
                    "the poses were made from degrees where sine and cosine expect radians: "
                    "convert the angles first",
                    _from_angles(cameras, sign * even, np.full(len(even), one), distance),
                )


def _angles_before(apparent: float, span: float) -> list[float]:
    """Elevations within 45 degrees that appear as `apparent` when degrees are read as radians."""
    turns = 360.0 * np.arange(-12, 13)
    found = np.concatenate([(apparent + turns) / span, (180.0 - apparent + turns) / span])
    return sorted(found[np.abs(found) <= 45.0].tolist())


def order_corrections(
    cameras: Cameras, names: Sequence[str], sheet: tuple[int, int] | None
) -> Iterator[Correction]:
    """Yields corrections for pictures given in another order than their cameras.

    Args:
      cameras: V cameras, in the source's frame.
      names: V names of the views.
      sheet: (rows, columns) of the views in one picture, None for files.
    """
    count = len(names)
    orders = {
        "the last picture belongs to the first camera": tuple(range(count))[::-1],
        "the files were sorted as text (1, 10, 2 ...) and not by number": tuple(
            int(np.argsort(sorted(range(count), key=str))[k]) for k in range(count)
        ),
    }
    if sheet and min(sheet) > 1:
        rows, columns = sheet
        by_column = np.arange(count).reshape(columns, rows).T.reshape(-1)
        back = np.arange(count).reshape(rows, columns).T.reshape(-1)
        orders["the sheet is to be read column by column"] = tuple(back.tolist())
        orders["the sheet was read column by column"] = tuple(by_column.tolist())
    for reason, order in orders.items():
        if order != tuple(range(count)):
            yield Correction(ORDER, f"{reason}: put the pictures in order", cameras, order)


def swaps(cameras: Cameras, names: Sequence[str], agreement: np.ndarray) -> Iterator[Correction]:
    """Yields exchanges of two of the views that agree least with the others.

    Args:
      cameras: V cameras, in the source's frame.
      names: V names of the views.
      agreement: [V] agreement of each view, see `Finding.views`.
    """
    worst = np.argsort(agreement, kind="stable")[:MOST_SWAPPED]
    worst = worst[agreement[worst] < STRANGE * np.median(agreement)]
    for first, second in combinations(sorted(worst.tolist()), 2):
        order = list(range(len(names)))
        order[first], order[second] = second, first
        yield Correction(
            ORDER,
            f"exchange views {names[first]} and {names[second]}",
            cameras,
            tuple(order),
        )


def lens_corrections(cameras: Cameras, factors: Sequence[float]) -> Iterator[Correction]:
    """Yields cameras of other focal lengths, poses unchanged; none for orthographic cameras."""
    k = np.asarray(cameras.intrinsics)
    if np.any(k[:, 2, 2] == 0):
        return  # with parallel rays, a factor only changes the object's size
    for factor in factors:
        scaled = k.copy()
        scaled[:, :2, :2] *= factor
        fov = 2.0 * np.rad2deg(np.arctan(0.5 * cameras.height / scaled[0, 1, 1]))
        yield Correction(
            LENS,
            f"about {fov:.0f} degrees (vertical) would agree best",
            cameras.replace(intrinsics=scaled),
        )
