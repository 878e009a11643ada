"""Pictures without poses: strips and folders, posed by a rig."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxvsnerf.data.images import Picture, list_pictures, read_picture
from jaxvsnerf.data.rigs import SYNCDREAMER, Rig, rig_cameras
from jaxvsnerf.data.views import PosedPictures, check_sizes


def read_strip(path: str | Path, rig: Rig = SYNCDREAMER) -> PosedPictures:
    """Square views side by side in one picture: SyncDreamer's output.

    Args:
      path: picture of (V H) x H pixels, any H.
      rig: the V cameras, from left to right.

    Returns:
      V posed pictures named by their number.

    Raises:
      FileNotFoundError: no such file.
      ValueError: the width is not V times the height.
    """
    sheet = read_picture(path)
    count = len(rig.azimuth_deg)
    height, width = sheet.rgb.shape[:2]
    if width != count * height:
        raise ValueError(
            f"{path} is {width} x {height} (width x height), but a strip of {count} square views "
            f"side by side is {count * height} x {height}; use kind='folder' for single pictures"
        )
    pictures = tuple(_crop(sheet, k * height, (k + 1) * height) for k in range(count))
    names = tuple(f"{k:03d}" for k in range(count))
    return PosedPictures(pictures, rig_cameras(rig, height, height), names)


def read_folder(path: str | Path, rig: Rig) -> PosedPictures:
    """The pictures of a folder in natural order, one per camera of the rig.

    Args:
      path: the folder.
      rig: its cameras, in the pictures' order.

    Returns:
      V posed pictures named by their file stems.

    Raises:
      FileNotFoundError: no such folder, or no picture in it.
      ValueError: the count differs from the rig's, sizes or names clash.
    """
    paths = list_pictures(path)
    count = len(rig.azimuth_deg)
    if len(paths) != count:
        raise ValueError(
            f"{path} holds {len(paths)} pictures ({paths[0].name} ... {paths[-1].name}), but the "
            f"rig has {count} cameras; every camera needs exactly one picture (to use fewer, "
            "choose them with `views`)"
        )
    names = tuple(file.stem for file in paths)
    if len(set(names)) != count:
        raise ValueError(f"{path} holds pictures of the same name in two formats: {sorted(names)}")
    pictures = tuple(read_picture(file) for file in paths)
    width, height = check_sizes(pictures, names)
    return PosedPictures(pictures, rig_cameras(rig, width, height), names)


def _crop(sheet: Picture, left: int, right: int) -> Picture:
    # Copies, so that choosing a few views lets go of the sheet.
    rgb = np.ascontiguousarray(sheet.rgb[:, left:right])
    alpha = None if sheet.alpha is None else np.ascontiguousarray(sheet.alpha[:, left:right])
    return Picture(rgb, alpha)
