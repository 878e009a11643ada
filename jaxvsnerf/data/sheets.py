"""Reads pictures without poses (sheets, folders, videos) and poses them by a rig."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxvsnerf.data.animation import is_animation, read_animation
from jaxvsnerf.data.images import (
    SUFFIXES,
    Picture,
    check_inside,
    check_total,
    list_pictures,
    picture_size,
    read_picture,
    shrink_picture,
)
from jaxvsnerf.data.layout import Layout, evenly, find_layout
from jaxvsnerf.data.mask_files import mask_folder, unused_note
from jaxvsnerf.data.rigs import SYNCDREAMER, Rig, rig_cameras
from jaxvsnerf.data.video import read_frames
from jaxvsnerf.data.views import PosedPictures, check_sizes
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.system.paths import in_any_case


def read_strip(
    path: str | Path, rig: Rig = SYNCDREAMER, *, upright: bool = True, downscale: int = 1
) -> PosedPictures:
    """Reads square views from the rows and columns of one picture, row by row.

    Args:
      path: picture of (columns H) x (rows H) pixels, any H; rows and columns are `rig.sheet`,
        by default one row (SyncDreamer's output is a row of 16). Gaps between the views, and as
        many views in another shape, are found, see `find_layout`.
      rig: the complete rig.
      upright: whether to apply the EXIF orientation.
      downscale: factor by which each view shrinks, see `shrink_picture`.

    Returns:
      V posed pictures named by number.

    Raises:
      MissingFile: no such file.
      InputError: the size does not divide into squares, one per view; or an animation.
    """
    if is_animation(Path(path)):
        raise InputError(f"{path} is an animation of several frames: take data.kind=video")
    sheet = read_picture(path, upright=upright)
    rows, columns = _shape(rig)
    height, width = sheet.rgb.shape[:2]
    layout = find_layout(sheet.rgb, rows, columns)
    if layout is None:
        side = height // rows
        expected = (
            f"a strip of {columns} square views side by side is {columns * height} x {height}"
            if rows == 1
            else f"a sheet of {rows} rows of {columns} square views is {columns * side} x "
            f"{rows * side}"
        )
        raise InputError(
            f"{path} is {width} x {height} (width x height), but {expected}; use data.kind=folder "
            "for single pictures, or data.rig=grid:RxC for R rows of C views"
        )
    views = (_crop(sheet, top, left, layout.side) for top, left in layout.places())
    pictures = tuple(shrink_picture(view, downscale) for view in views)
    usual = evenly(rows, columns, height, width)
    notes = () if layout == usual else (_layout_note(path, layout, rows, columns),)
    return replace(_numbered(pictures, rig), notes=notes)


def _shape(rig: Rig) -> tuple[int, int]:
    """(rows, columns) of a rig's sheet."""
    return rig.sheet or (1, len(rig.azimuth_deg))


def _layout_note(path: str | Path, layout: Layout, rows: int, columns: int) -> str:
    note = f"{Path(path).name} is read as {layout}"
    if (layout.rows, layout.columns) == (rows, columns):
        return note
    return (
        f"{note}, row by row; the rig's sheet has {rows} x {columns}. If the views go by columns, "
        "put them in order first: python -m jaxvsnerf.inspect tells"
    )


def _check_numbers(path: Path, names: Sequence[str]) -> None:
    """Refuses a picture without a number among pictures with running numbers.

    Raises:
      InputError: names the picture, such as the generator's input beside its views.
    """
    odd = [name for name in names if not any(letter.isdecimal() for letter in name)]
    if len(odd) == 1 and len(names) > 2:
        raise InputError(
            f"{path} holds {len(names) - 1} pictures with a number in their names, and "
            f"{odd[0]!r} without a number: is it the generator's input, and is a view missing? "
            "Every camera needs one view; give the input as data.photo"
        )
    signed = [name for name in names if re.search(r"(?<![0-9])-[0-9]", name)]
    others = [name for name in names if name not in signed]
    if {_unsigned(name) for name in signed} & {_unsigned(name) for name in others}:
        raise InputError(
            f"{path} holds pictures with negative and with other numbers in their names "
            f"({signed[0]}, {others[0]}), whose order is not clear: number the files 000, 001 and "
            "so on in the order of the cameras"
        )


def _unsigned(name: str) -> str:
    """A name without the signs and digits of its numbers."""
    return re.sub(r"[-+]?[0-9.]+", "#", name)


def read_folder(
    path: str | Path, rig: Rig, *, upright: bool = True, downscale: int = 1
) -> PosedPictures:
    """Reads the pictures of a folder, one per camera of the rig.

    Args:
      path: the folder.
      rig: the complete rig. With `rig.views`, only files named after the views are read, else
        all pictures in natural order. A folder of one strip is read as the strip.
      upright: whether to apply the EXIF orientation, as viewers do.
      downscale: factor by which each picture shrinks as it is read, see `shrink_picture`.

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
    strips = [] if rig.views or len(paths) == count else _strips(paths, rig)
    if len(paths) == 1 and strips:
        return read_strip(strips[0], rig, upright=upright, downscale=downscale)
    if strips:
        raise InputError(
            f"{path} holds {len(strips)} strips of {count} views each ({strips[0].name} ... "
            f"{strips[-1].name}), one sample of the generator in each, and a run takes one: "
            f"give its file, for example --config.data.path={strips[0]}"
        )
    if len(paths) != count:
        raise InputError(
            f"{path} holds {len(paths)} pictures ({paths[0].name} ... {paths[-1].name}), but the "
            f"rig has {count} cameras; every camera needs exactly one picture (to use fewer, "
            "choose them with data.views)"
        )
    if len(set(names)) != count:
        raise InputError(f"{path} holds pictures of the same name in two formats: {sorted(names)}")
    if not rig.views:
        _check_numbers(Path(path), names)
    check_total(paths, downscale)
    pictures = tuple(read_picture(one, upright=upright, downscale=downscale) for one in paths)
    width, height = check_sizes(pictures, names)
    masks = mask_folder(Path(path), Path(path).parent)
    notes = unused_note(masks, "pictures of a rig are cut out by alpha, or by their background")
    return PosedPictures(pictures, rig_cameras(rig, width, height), names, notes)


def _strips(paths: list[Path], rig: Rig) -> list[Path]:
    """The pictures that are a row or a sheet of all views of a rig, by their size."""
    rows, columns = _shape(rig)
    if rows == columns:
        return []  # no size tells such a sheet from a single view
    sizes = [(path, picture_size(path)) for path in paths]
    return [path for path, size in sizes if size and evenly(rows, columns, size[1], size[0])]


def read_video(path: str | Path, rig: Rig, *, downscale: int = 1) -> PosedPictures:
    """Reads the frames of a video or an animation, one per camera of the rig.

    Args:
      path: an MP4 or WebM file, or an animated WebP, PNG or GIF.
      rig: the complete rig, cameras in the order of the frames.
      downscale: factor by which each frame shrinks, see `shrink_picture`.

    Returns:
      V posed pictures named by number.

    Raises:
      MissingFile: no such file.
      InputError: the video cannot be decoded, or the count of frames differs from the rig's.
      MissingExtra: imageio-ffmpeg is missing.
    """
    count = len(rig.azimuth_deg)
    animated = is_animation(Path(path))
    frames = (read_animation if animated else read_frames)(Path(path), count + 1)
    if len(frames) != count:
        came = len(frames) if len(frames) < count else f"more than {count}"
        raise InputError(f"{path} has {came} frames, but the rig has {count} cameras")
    pictures = (one if animated else Picture(one, None) for one in frames)
    return _numbered(tuple(shrink_picture(one, downscale) for one in pictures), rig)


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
            check_inside(folder, found)
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
    return next(filter(None, map(in_any_case, paths)), None)


def _crop(sheet: Picture, top: int, left: int, side: int) -> Picture:
    # A copy, so that the sheet's memory is freed when only a few views are kept.
    part = np.s_[top : top + side, left : left + side]
    alpha = None if sheet.alpha is None else np.ascontiguousarray(sheet.alpha[part])
    return Picture(np.ascontiguousarray(sheet.rgb[part]), alpha)
