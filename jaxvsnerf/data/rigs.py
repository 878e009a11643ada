"""Camera rigs of the generators, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.types import Cameras


@dataclass(frozen=True)
class Rig:
    """Cameras on a sphere round the object, independent of the picture size.

    Attributes:
      azimuth_deg: V angles, counter-clockwise seen from +z, 0 on +x.
      elevation_deg: V angles above the horizon.
      distance: camera centre to origin, in sides of the object's cube.
      fov_deg: full vertical angle of view.
      input_deg: (azimuth, elevation) of the picture that a generator is given, or None.
    """

    azimuth_deg: tuple[float, ...]
    elevation_deg: tuple[float, ...]
    distance: float
    fov_deg: float
    input_deg: tuple[float, float] | None = None


# SyncDreamer's `camera-16`: focal length 280 px at a height of 256 px.
SYNCDREAMER = Rig(
    azimuth_deg=tuple(22.5 * k for k in range(16)),
    elevation_deg=(30.0,) * 16,
    distance=1.5,
    fov_deg=float(2.0 * np.rad2deg(np.arctan(128.0 / 280.0))),
    # Its first view is nearest to the input, whatever elevation that was taken from.
    input_deg=(0.0, 30.0),
)

NAMED_RIGS = {"syncdreamer": SYNCDREAMER}


def orbit_rig(
    azimuth_deg: tuple[float, ...],
    elevation_deg: tuple[float, ...],
    distance: float,
    fov_deg: float,
) -> Rig:
    """A rig from its numbers.

    Args:
      azimuth_deg: V angles.
      elevation_deg: V angles, or one for all views; within [-90, 90].
      distance: camera centre to origin, positive.
      fov_deg: full vertical angle of view, within (0, 180).

    Returns:
      The rig.

    Raises:
      ValueError: a number is out of range or not finite, or the counts differ.
    """
    if not azimuth_deg or not elevation_deg:
        raise ValueError(
            "an orbit needs azimuth_deg (one angle per picture) and elevation_deg (one angle, or "
            f"one per picture); got {len(azimuth_deg)} and {len(elevation_deg)} angles"
        )
    if len(elevation_deg) not in (1, len(azimuth_deg)):
        raise ValueError(
            f"elevation_deg has {len(elevation_deg)} angles for {len(azimuth_deg)} azimuths; give "
            "one, or as many as azimuths"
        )
    numbers = (*azimuth_deg, *elevation_deg, distance, fov_deg)
    if not np.all(np.isfinite(numbers)):
        raise ValueError(f"an orbit's angles and distance must be finite, got {numbers}")
    if max(abs(e) for e in elevation_deg) > 90.0:
        raise ValueError(f"elevation_deg must lie within [-90, 90], got {elevation_deg}")
    if distance <= 0.0:
        raise ValueError(f"distance must be positive, got {distance}")
    if not 0.0 < fov_deg < 180.0:
        raise ValueError(f"fov_deg must lie within (0, 180) degrees, got {fov_deg}")
    if len(elevation_deg) == 1:
        elevation_deg = tuple(elevation_deg) * len(azimuth_deg)
    return Rig(tuple(azimuth_deg), tuple(elevation_deg), float(distance), float(fov_deg))


def rig_cameras(rig: Rig, width: int, height: int) -> Cameras:
    """The rig's cameras for pictures of this size; the focal length scales with the height."""
    focal_px = 0.5 * height / np.tan(0.5 * np.deg2rad(rig.fov_deg))
    return orbit_cameras(rig.azimuth_deg, rig.elevation_deg, rig.distance, focal_px, width, height)


def rig_input_axis(rig: Rig) -> np.ndarray | None:
    """[3] unit optical axis of the picture that a generator is given; None where unknown."""
    if rig.input_deg is None:
        return None
    azimuth, elevation = np.deg2rad(rig.input_deg)
    towards = (np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth))
    return -np.array([*towards, np.sin(elevation)], np.float32)
