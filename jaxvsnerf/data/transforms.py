"""Reads transforms.json in the NeRF-synthetic (Blender) and instant-ngp / nerfstudio dialects.

The file is untrusted: every number is checked, unsupported features are refused by name, and no
picture outside the file's folder is opened.
"""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxvsnerf.data.distortion import check_undistorted
from jaxvsnerf.data.images import SUFFIXES, check_total, is_turned
from jaxvsnerf.data.mask_files import (
    mask_beside,
    mask_folder,
    mask_of,
    masked_pictures,
    unused_note,
)
from jaxvsnerf.data.poses import frame_intrinsics, opengl_to_w2c, parse_pose
from jaxvsnerf.data.views import PosedPictures, check_sizes, shrink_cameras
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.system.paths import in_any_case
from jaxvsnerf.system.stand_ins import check_is_itself
from jaxvsnerf.types import Cameras

MAX_JSON_BYTES = 100_000_000
CAMERA_MODELS = (None, "", "OPENCV", "PINHOLE", "SIMPLE_PINHOLE")
UNSUPPORTED = (
    "is_fisheye",
    "latlong",
    "equirectangular",
    "ftheta_p0",
    "rolling_shutter",
    "from_na",
)


@dataclass(frozen=True)
class Frame:
    """One checked entry of `frames`; the picture is not decoded yet.

    Attributes:
      picture: picture file.
      mask: mask file, or None.
      c2w: [3, 4] float64 camera-to-world, OpenGL axes, exactly orthonormal rotation.
      fields: intrinsics and flags of the whole file, overridden by those of the frame.
      split: 'train', 'val' or 'test', '' for a frame that the file's lists leave out; 'train'
        if the file has no lists.
    """

    picture: Path
    mask: Path | None
    c2w: np.ndarray
    fields: dict[str, Any]
    split: str


def read_transforms(path: str | Path) -> list[Frame]:
    """Reads and checks a transforms file without decoding pictures.

    `applied_transform` is checked but not undone: the poses already contain the transform, and
    the source's frame is the frame of the poses in the file.

    Args:
      path: the JSON file.

    Returns:
      The frames, in the file's order.

    Raises:
      MissingFile: the file or one of its pictures is missing.
      InputError: invalid JSON, no frames, an invalid pose or number, a path that leaves the
        folder, or an unsupported feature.
    """
    path = Path(path)
    meta = _read_json(path)
    frames = meta.get("frames")
    if not isinstance(frames, list) or not frames:
        raise InputError(
            f"{path} has no frames: expected a non-empty list `frames`, each with file_path and "
            "transform_matrix"
        )
    if meta.get("applied_transform") is not None:
        parse_pose(meta["applied_transform"], f"applied_transform of {path}")
    shared = {key: value for key, value in meta.items() if key != "frames"}
    splits = _splits(meta, path)
    return [_frame(one, index, shared, splits, path) for index, one in enumerate(frames)]


def has_pictures(path: Path) -> bool:
    """Whether any picture of a transforms file is there."""
    for entry in _read_json(path)["frames"]:
        try:
            inside_folder(path.parent, entry["file_path"], str(path))
        except MissingFile:
            continue
        return True
    return False


def load_frames(frames: list[Frame], folder: Path, downscale: int = 1) -> PosedPictures:
    """Decodes the pictures of frames and computes their cameras.

    Args:
      frames: V frames.
      folder: the transforms file's folder, for names.
      downscale: factor by which each picture shrinks as it is read, see `shrink_picture`.

    Returns:
      V posed pictures in the file's frame; `cameras.w2c` is float64.

    Raises:
      InputError: sizes differ from each other or from w and h, intrinsics are missing, a lens is
        distorted, or two frames share a picture.
    """
    names = _names(frames, folder)
    frames = _with_masks_beside(frames, folder)
    check_total([path for one in frames for path in (one.picture, one.mask) if path], downscale)
    paths, masks = [one.picture for one in frames], [one.mask for one in frames]
    pictures, notes = masked_pictures(paths, masks, [str(path) for path in paths], downscale)
    width, height = (downscale * side for side in check_sizes(pictures, names))
    intrinsics = np.stack(
        [
            frame_intrinsics(frame.fields, width, height, f"the frame of {frame.picture}")
            for frame in frames
        ]
    )
    for frame, one in zip(frames, intrinsics, strict=True):
        where = f"the frame of {frame.picture}"
        check_undistorted(frame.fields, one, width, height, where)
    w2c = np.stack([opengl_to_w2c(frame.c2w) for frame in frames])
    if turned := sum(map(is_turned, paths)):
        notes += (
            f"warning: the EXIF orientation of {turned} pictures is not applied, because poses "
            "belong to pictures as stored; if these poses belong to the upright pictures, save the "
            "pictures upright and without the orientation",
        )
    if not any(masks):
        masks = mask_folder(folder, paths[0].parent, paths[0].parent.parent)
        notes += unused_note(
            masks,
            "a transforms file names the mask of each frame as its mask_path, a COLMAP model takes "
            "masks named after the pictures",
        )
    cameras = shrink_cameras(Cameras(intrinsics, w2c, width, height), downscale)
    return PosedPictures(pictures, cameras, names, notes)


def _with_masks_beside(frames: list[Frame], folder: Path) -> list[Frame]:
    """Frames with the masks that no mask_path names.

    The masks are looked for beside the masks of the other frames. If no frame names a mask, those
    of a folder of masks count if each frame has one there, or else those beside the pictures.
    """
    named = next((frame.mask.parent for frame in frames if frame.mask), None)
    near = frames[0].picture.parent
    masks = named or mask_folder(folder, near, near.parent)
    beside = []
    if masks is not None and (named or masks.is_relative_to(folder.resolve())):
        beside = [one.mask or _inside(masks, mask_of(one.picture.name, masks)) for one in frames]
    if named is None and (not beside or None in beside):
        beside = [_inside(one.picture.parent, mask_beside(one.picture)) for one in frames]
        if not any(beside):
            return frames
    return [replace(one, mask=mask) for one, mask in zip(frames, beside, strict=True)]


def _inside(folder: Path, name: str | None) -> Path | None:
    return inside_folder(folder, name, f"a mask in {folder}") if name else None


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingFile(f"no transforms file at {path}")
    check_is_itself(path)
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError(
            f"{path} has {path.stat().st_size} bytes, at most {MAX_JSON_BYTES} are read"
        )
    try:
        meta = json.loads(path.read_bytes())  # UTF-8 or UTF-16, with a byte order mark or without
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error})") from error
    if not isinstance(meta, dict):
        raise InputError(f"{path} must hold a JSON object with `frames`, got {type(meta).__name__}")
    return meta


def _splits(meta: dict[str, Any], path: Path) -> dict[str, str]:
    """Maps file_path to split by nerfstudio's train_, val_ and test_filenames.

    Empty if the file has no such lists; then all frames are for training.
    """
    splits = {}
    for split in ("train", "val", "test"):
        listed = meta.get(f"{split}_filenames") or []
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise InputError(f"{split}_filenames of {path} must be a list of file paths")
        splits.update((_normal(one), split) for one in listed)
    entries = [one for one in meta.get("frames") or () if isinstance(one, dict)]
    names = {_normal(str(one.get("file_path"))) for one in entries}
    if unknown := sorted(set(splits) - names):
        raise InputError(f"{path} lists {unknown[0]!r} in a split, but no frame has that file_path")
    return splits


def _normal(name: str) -> str:
    """A path of the file as others of the file spell it; Windows writes backslashes."""
    return posixpath.normpath(name.replace("\\", "/"))


def _frame(
    entry: Any, index: int, shared: dict[str, Any], splits: dict[str, str], path: Path
) -> Frame:
    """Checks one entry of `frames`."""
    where = f"frame {index} of {path}"
    if not isinstance(entry, dict):
        raise InputError(f"{where} must be a JSON object, got {type(entry).__name__}")
    name = entry.get("file_path")
    if not isinstance(name, str) or not name:
        raise InputError(f"{where} needs file_path, a text; got {name!r}")
    where = f"frame {index} ({name}) of {path}"
    fields = {**shared, **entry}
    _refuse_unsupported(fields, where)
    mask = fields.get("mask_path")
    if mask is not None and not isinstance(mask, str):
        raise InputError(f"{where} has mask_path {mask!r}, expected a text")
    return Frame(
        picture=inside_folder(path.parent, name, where),
        mask=inside_folder(path.parent, mask, where) if mask else None,
        c2w=parse_pose(entry.get("transform_matrix"), f"transform_matrix of {where}"),
        fields=fields,
        # If the file has lists, a frame in none of them is not used.
        split=splits.get(_normal(name), "") if splits else "train",
    )


def _refuse_unsupported(fields: dict[str, Any], where: str) -> None:
    model = fields.get("camera_model")
    if model not in CAMERA_MODELS:
        raise InputError(
            f"{where} has camera_model {model!r}, which is not supported (only OPENCV and PINHOLE "
            "without distortion); undistort the pictures first, e.g. with COLMAP's "
            "image_undistorter"
        )
    for name in UNSUPPORTED:
        if fields.get(name):
            raise InputError(f"{where} has {name}={fields[name]!r}, which is not supported")


def inside_folder(folder: Path, name: str, where: str) -> Path:
    """Path of an existing file inside a folder, with symbolic links resolved.

    Args:
      folder: the only folder that may be read.
      name: path relative to `folder`, possibly without its extension.
      where: name of the frame, for messages.

    Raises:
      InputError: the name is no path, or the path leaves the folder.
      MissingFile: no such file.
    """
    root = folder.resolve()
    # NeRF-synthetic omits the extension.
    spellings = dict.fromkeys([name, name.replace("\\", "/")])
    candidates = [one + suffix for one in spellings for suffix in ("", *SUFFIXES)]
    for candidate in candidates:
        try:
            path = (root / candidate).resolve()
            exists = path.is_file()
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"{where} names {name!r}, which is no path ({error})") from error
        if not path.is_relative_to(root):
            raise InputError(
                f"{where} names {name!r}, which leaves the data folder {root}; pictures must lie "
                "inside the folder of their transforms file"
            )
        if exists:
            return path
    # Windows and macOS find 0.PNG as 0.png.
    for candidate in candidates:
        if (found := in_any_case(root / candidate)) and found.resolve().is_relative_to(root):
            return found.resolve()
    raise MissingFile(
        f"{where}: no picture at {root / name} (also tried the endings {', '.join(SUFFIXES)})"
    )


def _names(frames: list[Frame], folder: Path) -> tuple[str, ...]:
    """Names of the frames: file stems if unique, else paths relative to the folder."""
    stems = tuple(frame.picture.stem for frame in frames)
    if len(set(stems)) == len(stems):
        return stems
    root = folder.resolve()
    names = tuple(frame.picture.relative_to(root).with_suffix("").as_posix() for frame in frames)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(
            f"{folder}: two frames use the picture {twice}; every frame needs its own picture"
        )
    return names
