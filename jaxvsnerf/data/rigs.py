"""Camera rigs of the generators, as plain data; docs/conventions.md lists them in a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.types import Cameras

# Distance at which the parallel rays of orthographic rigs start: outside the sampled cube.
ORTHOGRAPHIC_DISTANCE = 1.5
NUMBERS = ("azimuth_deg", "elevation_deg", "distance", "fov_deg")


@dataclass(frozen=True)
class Rig:
    """Cameras on a sphere round the object, independent of the picture size.

    None marks a number that the model's authors left open or never published; `complete_rig`
    then requires the number from the user and says why.

    Attributes:
      azimuth_deg: V angles, counter-clockwise seen from +z, 0 on +x.
      elevation_deg: V angles above the horizon; see `relative`.
      distance: camera centre to origin, in sides of the object's cube.
      fov_deg: full vertical field of view; 0 is orthographic, with pictures as high as the cube.
      input_deg: (azimuth, elevation) of the generator's input picture, or None for a generator
        without an input picture; an elevation of None must come from the user.
      sheet: (rows, columns) of the views in one picture, read row by row; None is one row.
      views: V view names in the model's file names, or () for files in natural order.
      files: patterns of file stems in order of preference; '{}' stands for a view's name.
      relative: whether elevations are relative to the elevation of the input picture, which the
        user must then give.
      open: field -> reason why the user must give the field.
    """

    azimuth_deg: tuple[float, ...] | None = None
    elevation_deg: tuple[float, ...] | None = None
    distance: float | None = None
    fov_deg: float | None = None
    input_deg: tuple[float, float | None] | None = None
    sheet: tuple[int, int] | None = None
    views: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    relative: bool = False
    open: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


_SCALE = (
    "; the distance only sets the object's size, and 0.5 / tan(fov_deg / 2) makes a picture one "
    "side of the cube high at the origin ({frame})"
)

# SyncDreamer's `camera-16`: focal length 280 px at a height of 256 px, from its camera file
# (liuyuan-pal/SyncDreamer, meta_info/camera-16.pkl).
SYNCDREAMER = Rig(
    azimuth_deg=tuple(22.5 * k for k in range(16)),
    elevation_deg=(30.0,) * 16,
    distance=1.5,
    fov_deg=float(2.0 * np.rad2deg(np.arctan(128.0 / 280.0))),
    # The first view is nearest to the input picture, whatever the picture's elevation.
    input_deg=(0.0, 30.0),
)

# Blender's 35 mm lens on a 32 mm sensor; poses are the user's, objects in the unit cube,
# training distances drawn from 1.5 to 2.2. Source: cvlab-columbia/zero123,
# objaverse-rendering/scripts/blender_script.py and zero123/ldm/data/simple.py (angles of the
# target minus those of the input, azimuth counter-clockwise, z up). XL has the same cameras.
ZERO123 = Rig(
    fov_deg=float(2.0 * np.rad2deg(np.arctan(16.0 / 35.0))),
    input_deg=(0.0, None),
    relative=True,
    open={
        "azimuth_deg": "Zero123 renders poses of the user's choice, relative to the input",
        "elevation_deg": "Zero123 renders poses of the user's choice, relative to the input",
        "distance": "Zero123 was trained on distances from 1.5 to 2.2" + _SCALE,
    },
)

# Source: README of SUDO-AI-3D/zero123plus (azimuths relative to the input, absolute
# elevations, 3 x 2 views of 320 px on grey; only v1.2 "unifies the output field of view").
# The authors name Zero123's angle, atan(16 / 35) * 2, for v1.1's training pictures (issues 39
# and 68), but a real sheet may agree better with another: the output's angle follows the input.
ZERO123PP_V11 = Rig(
    azimuth_deg=(30.0, 90.0, 150.0, 210.0, 270.0, 330.0),
    elevation_deg=(30.0, -20.0) * 3,
    input_deg=(0.0, None),
    sheet=(3, 2),
    open={
        "fov_deg": (
            "the angle of view of Zero123++ v1.1's output was never published and follows the "
            "input (only v1.2 has a fixed angle); training pictures had 49.13, compare a few "
            "angles with `python -m jaxvsnerf.inspect`"
        ),
        "distance": "the distance of Zero123++ v1.1 follows the input, never published" + _SCALE,
    },
)

# Source: README (20 and -10 degrees, angle of view 30 degrees) and the authors in issue 73
# (object in the sphere of radius 0.5, distance 0.5 / tan(15 degrees)).
ZERO123PP_V12 = Rig(
    azimuth_deg=ZERO123PP_V11.azimuth_deg,
    elevation_deg=(20.0, -10.0) * 3,
    distance=float(0.5 / np.tan(np.deg2rad(15.0))),
    fov_deg=30.0,
    input_deg=(0.0, None),
    sheet=(3, 2),
)

_SIX = ("front", "front_right", "right", "back", "left", "front_left")

# Six orthographic views in the plane of the input view. Source: README of xxlong0/Wonder3D
# (azimuths 0, 45, 90, 180, -90, -45 at elevation 0 in the camera system of the input), its
# fixed_poses/000_right_RT.txt (right is counter-clockwise), test_mvdiffusion_seq.py (files).
WONDER3D = Rig(
    azimuth_deg=(0.0, 45.0, 90.0, 180.0, 270.0, 315.0),
    elevation_deg=(0.0,) * 6,
    distance=ORTHOGRAPHIC_DISTANCE,
    fov_deg=0.0,
    input_deg=(0.0, 0.0),
    views=_SIX,
    files=("masked_colors/rgb_000_{}", "rgb_000_{}"),
)

# Wonder3D's cameras, level whatever the input's elevation. Source: pengHTYX/Era3D,
# blender/blender_render_script.py (orthographic, frame and object's box diagonal 1, elevation
# 0), instant-nsr-pl/datasets/ortho.py (order) and test_mvdiffusion_unclip.py (files).
ERA3D = replace(WONDER3D, files=("color_{}_masked",))

# 21 frames of a full turn, the last being the input view; SV3D_u keeps the input's elevation,
# SV3D_p takes elevations, the last of which is the input's. Source:
# Stability-AI/generative-models, scripts/sampling/simple_video_sample.py and issue 379;
# 33.8 degrees: arXiv:2403.12008, training details. Neither names the sense of rotation:
# public reconstructions from SV3D's frames read counter-clockwise.
SV3D = Rig(
    azimuth_deg=tuple(360.0 * (k + 1) / 21 % 360.0 for k in range(21)),
    elevation_deg=(0.0,) * 21,
    fov_deg=33.8,
    input_deg=(0.0, None),
    relative=True,
    open={
        "distance": "SV3D's authors never published the distance" + _SCALE,
    },
)

# ComfyUI's node SV3D_Conditioning turns from 0 to 360 degrees, both of which are the input view.
# Source: Comfy-Org/ComfyUI, comfy_extras/nodes_stable3d.py.
SV3D_COMFYUI = replace(SV3D, azimuth_deg=tuple(18.0 * k % 360.0 for k in range(21)))

_FOV_DREAM = (
    "the model was trained on angles of view from 15 to 60 degrees, drawn at random "
    "(bytedance/MVDream, issue 12), so the angle of a sample is unknown; compare a few angles "
    "with `python -m jaxvsnerf.inspect`"
)
_DISTANCE_DREAM = "the model's distances are relative to an unknown angle of view" + _SCALE

# Four views a quarter turn apart, counter-clockwise. Source: bytedance/MVDream,
# mvdream/camera_utils.py and scripts/t2i.py (elevation 15, first azimuth 90 from the -y axis,
# which is +x), concatenated in a row.
MVDREAM = Rig(
    azimuth_deg=(0.0, 90.0, 180.0, 270.0),
    elevation_deg=(15.0,) * 4,
    open={"fov_deg": _FOV_DREAM, "distance": _DISTANCE_DREAM},
)

# MVDream's cameras at elevation 5. Source: bytedance/ImageDream,
# extern/ImageDream/scripts/demo.py; the fifth picture of the pixel mode is not in the row.
IMAGEDREAM = replace(MVDREAM, elevation_deg=(5.0,) * 4)

NAMED_RIGS = {
    "syncdreamer": SYNCDREAMER,
    "zero123": ZERO123,
    "zero123pp-v1.1": ZERO123PP_V11,
    "zero123pp-v1.2": ZERO123PP_V12,
    "wonder3d": WONDER3D,
    "era3d": ERA3D,
    "sv3d": SV3D,
    "sv3d-comfyui": SV3D_COMFYUI,
    "mvdream": MVDREAM,
    "imagedream": IMAGEDREAM,
}


def named_rig(name: str) -> Rig:
    """Looks up a rig by name; numbers that the user must give are None.

    Args:
      name: one of NAMED_RIGS, 'orbit' (views in a row or in files) or 'grid:RxC' (R rows of
        C views); for the last two the user gives all numbers.

    Raises:
      InputError: no such rig.
    """
    if name in NAMED_RIGS:
        return NAMED_RIGS[name]
    grid = re.fullmatch(r"grid:([1-9]\d{0,2})x([1-9]\d{0,2})", name)
    if name != "orbit" and not grid:
        raise InputError(
            f"data.rig: expected one of {', '.join(NAMED_RIGS)}, orbit or grid:RxC (R rows of C "
            f"views), got {name!r}"
        )
    return Rig(
        sheet=(int(grid[1]), int(grid[2])) if grid else None,
        open=dict.fromkeys(NUMBERS, "the rig has no numbers of its own"),
    )


def complete_rig(
    name: str,
    azimuth_deg: tuple[float, ...] = (),
    elevation_deg: tuple[float, ...] = (),
    distance: float | None = None,
    fov_deg: float | None = None,
    input_elevation_deg: float | None = None,
) -> Rig:
    """Looks up a rig by name and fills in the user's numbers, which override the rig's.

    Args:
      name: see `named_rig`.
      azimuth_deg: V angles, or () for the rig's.
      elevation_deg: V angles, one for all views, or () for the rig's; within [-90, 90].
      distance: camera centre to origin in sides of the cube, positive, or None for the rig's.
      fov_deg: full vertical field of view within [0, 180), 0 being orthographic, or None for
        the rig's.
      input_elevation_deg: elevation of the generator's input picture, or None.

    Returns:
      The rig without open numbers.

    Raises:
      InputError: no such rig; a number that the user must give is missing, out of range or not
        finite; the counts of angles differ.
    """
    rig = named_rig(name)
    azimuth = tuple(azimuth_deg) or rig.azimuth_deg
    elevation = tuple(elevation_deg) or rig.elevation_deg
    distance = rig.distance if distance is None else distance
    fov_deg = rig.fov_deg if fov_deg is None else fov_deg
    values = dict(azimuth_deg=azimuth, elevation_deg=elevation, distance=distance, fov_deg=fov_deg)
    for key in NUMBERS:
        if values[key] is None:
            raise InputError(
                f"data.{key} must be given for rig {name!r}: {_reason(rig, key, fov_deg)}"
            )
    _check_input(name, rig, input_elevation_deg)
    if len(elevation) not in (1, len(azimuth)):
        raise InputError(
            f"data.elevation_deg has {len(elevation)} angles for {len(azimuth)} azimuths; give "
            "one, or as many as azimuths"
        )
    if len(elevation) == 1:
        elevation = elevation * len(azimuth)
    if rig.relative:
        elevation = tuple(one + input_elevation_deg for one in elevation)
    _check_numbers(azimuth, elevation, distance, fov_deg)
    if rig.sheet and rig.sheet[0] * rig.sheet[1] != len(azimuth):
        raise InputError(
            f"data.rig {name!r} has {rig.sheet[0]} x {rig.sheet[1]} views (rows x columns), but "
            f"data.azimuth_deg has {len(azimuth)} angles"
        )
    input_deg = rig.input_deg
    if input_deg and input_deg[1] is None:
        known = input_elevation_deg is not None
        input_deg = (input_deg[0], float(input_elevation_deg)) if known else None
    return replace(rig, **values | {"elevation_deg": elevation}, input_deg=input_deg)


def _reason(rig: Rig, key: str, fov_deg: float | None) -> str:
    """Reason why the user must give a number, for messages."""
    frame = "about 1.1 for 49 degrees, 1.9 for 30"
    if fov_deg:
        frame = f"{0.5 / np.tan(np.deg2rad(0.5 * fov_deg)):.3g} here"
    return rig.open[key].format(frame=frame)


def _check_numbers(
    azimuth: tuple[float, ...], elevation: tuple[float, ...], distance: float, fov_deg: float
) -> None:
    numbers = (*azimuth, *elevation, distance, fov_deg)
    if not np.all(np.isfinite(numbers)):
        raise InputError(f"a rig's angles and distance must be finite, got {numbers}")
    if max(abs(e) for e in elevation) > 90.0:
        raise InputError(f"data.elevation_deg must lie within [-90, 90], got {elevation}")
    if distance <= 0.0:
        raise InputError(f"data.distance must be positive, got {distance}")
    if not 0.0 <= fov_deg < 180.0:
        raise InputError(
            f"data.fov_deg must lie within [0, 180) degrees, 0 being orthographic, got {fov_deg}"
        )


def _check_input(name: str, rig: Rig, input_elevation_deg: float | None) -> None:
    if rig.relative and input_elevation_deg is None:
        raise InputError(
            f"data.input_elevation_deg must be given for rig {name!r}: its elevations are relative "
            "to the elevation of the input photo, which only you can know (0 is level with the "
            "object, 90 is above the object)"
        )
    if input_elevation_deg is None:
        return
    if rig.input_deg is None or rig.input_deg[1] is not None:
        raise InputError(f"data.input_elevation_deg has no use for rig {name!r} without a photo")
    if not abs(input_elevation_deg) <= 90.0:
        raise InputError(
            f"data.input_elevation_deg must lie in [-90, 90], got {input_elevation_deg}"
        )


def rig_cameras(rig: Rig, width: int, height: int) -> Cameras:
    """Cameras of a complete rig; focal lengths are proportional to the picture's height.

    Args:
      rig: see `complete_rig`.
      width: picture width in pixels.
      height: picture height in pixels.
    """
    orthographic = rig.fov_deg == 0.0
    slope = 0.5 if orthographic else np.tan(0.5 * np.deg2rad(rig.fov_deg))
    return orbit_cameras(
        rig.azimuth_deg,
        rig.elevation_deg,
        rig.distance,
        0.5 * height / slope,
        width,
        height,
        orthographic,
    )


def rig_input_axis(rig: Rig) -> np.ndarray | None:
    """[3] unit optical axis of the generator's input picture; None if unknown."""
    if rig.input_deg is None:
        return None
    azimuth, elevation = np.deg2rad(rig.input_deg)
    towards = (np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth))
    return -np.array([*towards, np.sin(elevation)], np.float32)
