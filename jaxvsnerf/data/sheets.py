"""Reads pictures without poses (sheets, folders, videos) and poses them by a rig."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxvsnerf.data.images import SUFFIXES, Picture, list_pictures, read_picture
from jaxvsnerf.data.rigs import SYNCDREAMER, Rig, rig_cameras
from jaxvsnerf.data.video import read_frames
from jaxvsnerf.data.views import PosedPictures, check_sizes
from jaxvsnerf.errors import InputError, MissingFile


def read_strip(path: str | Path, rig: Rig = SYNCDREAMER) -> PosedPictures:
    """Reads square views from the rows and columns of one picture, row by row.

    Args:
      path: picture of (columns H) x (rows H) pixels, any H; rows and columns are `rig.sheet`,
        by default one row (SyncDreamer's output is a row of 16).
      rig: the complete rig.

    Returns:
      V posed pictures named by number.

    Raises:
      MissingFile: no such file.
      InputError: the size does not divide into rows and columns of squares.
    """
    sheet = read_picture(path)
    rows, columns = rig.sheet or (1, len(rig.azimuth_deg))
    height, width = sheet.rgb.shape[:2]
    side = height // rows
    if (width, height) != (columns * side, rows * side):
        layout = (
            f"a strip of {columns} square views side by side is {columns * height} x {height}"
            if rows == 1
            else f"a sheet of {rows} rows of {columns} square views is {columns * side} x "
            f"{rows * side}"
        )
        raise InputError(
            f"{path} is {width} x {height} (width x height), but {layout}; use data.kind=folder "
            "for single pictures"
        )
    places = [(row * side, column * side) for row in range(rows) for column in range(columns)]
    pictures = tuple(_crop(sheet, top, left, side) for top, left in places)
    return _numbered(pictures, rig)


def read_folder(path: str | Path, rig: Rig) -> PosedPictures:
    """Reads the pictures of a folder, one per camera of the rig.

    Args:
      path: the folder.
      rig: the complete rig. With `rig.views`, only files named after the views are read, else
        all pictures in natural order.

    Returns:
      V posed pictures named by `rig.views`, or by file stem.

    Raises:
      MissingFile: no such folder, or a picture is missing.
      InputError: the count differs from the rig's, sizes differ, or two files share a name.
    """
    if rig.views:
        paths, names = _view_files(Path(path), rig), rig.views
    else:
        paths = list_pictures(path)
        names = tuple(file.stem for file in paths)
    count = len(rig.azimuth_deg)
    if len(paths) != count:
        raise InputError(
            f"{path} holds {len(paths)} pictures ({paths[0].name} ... {paths[-1].name}), but the "
            f"rig has {count} cameras; every camera needs exactly one picture (to use fewer, "
            "choose them with data.views)"
        )
    if len(set(names)) != count:
        raise InputError(f"{path} holds pictures of the same name in two formats: {sorted(names)}")
    pictures = tuple(read_picture(file) for file in paths)
    width, height = check_sizes(pictures, names)
    return PosedPictures(pictures, rig_cameras(rig, width, height), names)


def read_video(path: str | Path, rig: Rig) -> PosedPictures:
    """Reads the frames of a video, one per camera of the rig.

    Args:
      path: an MP4 file.
      rig: the complete rig, cameras in the order of the frames.

    Returns:
      V posed pictures named by number.

    Raises:
      MissingFile: no such file.
      InputError: the video cannot be decoded, or the count of frames differs from the rig's.
      MissingExtra: imageio-ffmpeg is missing.
    """
    count = len(rig.azimuth_deg)
    frames = read_frames(path, count + 1)
    if len(frames) != count:
        came = len(frames) if len(frames) < count else f"more than {count}"
        raise InputError(f"{path} has {came} frames, but the rig has {count} cameras")
    return _numbered(tuple(Picture(frame, None) for frame in frames), rig)


def _numbered(pictures: tuple[Picture, ...], rig: Rig) -> PosedPictures:
    """Poses pictures of one size by the rig and names them by number."""
    height, width = pictures[0].rgb.shape[:2]
    names = tuple(f"{k:03d}" for k in range(len(pictures)))
    return PosedPictures(pictures, rig_cameras(rig, width, height), names)


def _view_files(folder: Path, rig: Rig) -> list[Path]:
    """Finds one file per view, by the first pattern of the rig that matches any file."""
    if not folder.is_dir():
        raise MissingFile(f"no folder at {folder}; give a folder of pictures")
    for pattern in rig.files:
        found = [_with_suffix(folder / pattern.format(view)) for view in rig.views]
        if all(found):
            return found
        if any(found):
            missing = [view for view, file in zip(rig.views, found, strict=True) if not file]
            raise MissingFile(
                f"{folder} lacks the views {', '.join(missing)}: no {pattern.format(missing[0])} "
                f"(ending in {', '.join(SUFFIXES)})"
            )
    expected = " or ".join(pattern.format(rig.views[0]) for pattern in rig.files)
    raise MissingFile(
        f"{folder} has none of the files that this rig's model writes: expected {expected} and so "
        f"on for {', '.join(rig.views)}; for pictures of other names use rig='orbit'"
    )


def _with_suffix(path: Path) -> Path | None:
    paths = (path.with_name(path.name + suffix) for suffix in SUFFIXES)
    return next((one for one in paths if one.is_file()), None)


def _crop(sheet: Picture, top: int, left: int, side: int) -> Picture:
    # A copy, so that the sheet's memory is freed when only a few views are kept.
    part = np.s_[top : top + side, left : left + side]
    alpha = None if sheet.alpha is None else np.ascontiguousarray(sheet.alpha[part])
    return Picture(np.ascontiguousarray(sheet.rgb[part]), alpha)
