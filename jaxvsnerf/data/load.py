"""Reads posed pictures from any source into a `Dataset`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxvsnerf.data import video
from jaxvsnerf.data.animation import is_animation
from jaxvsnerf.data.colmap import choose_model, find_models, read_colmap
from jaxvsnerf.data.rigs import Rig, complete_rig, named_rig, rig_input_axis
from jaxvsnerf.data.sheets import read_folder, read_strip, read_video
from jaxvsnerf.data.similarity import explicit_similarity, find_similarity
from jaxvsnerf.data.spec import Z_UP, DataSpec
from jaxvsnerf.data.transforms import Frame, has_pictures, load_frames, read_transforms
from jaxvsnerf.data.upright import camera_up, tilt_deg, turn_upright
from jaxvsnerf.data.views import PosedPictures, check_views, choose_views, make_view_set
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.geometry.cameras import identity_similarity, transform_cameras
from jaxvsnerf.system.paths import find_path
from jaxvsnerf.types import Dataset, Similarity, ViewSet

# Angle in degrees between the cameras' up and a transforms file's z from which a line is said.
TILTED = 45.0
# Angle in degrees of a COLMAP model that is upright already.
LEVEL = 2.0


def read_dataset(
    spec: DataSpec, background: np.ndarray | None, to_cube: Similarity | None = None
) -> Dataset:
    """Reads input views, and truth views if the source has any, into the object's cube.

    Args:
      spec: the source; any kind except the toy.
      background: [3] colour behind the object in [0, 1], or None to detect the colour.
      to_cube: similarity from the source's frame to the cube, of a run that goes on; None finds
        the similarity, see `source_to_cube`.

    Returns:
      The data set; `clean` holds the truth pictures at the input views if the truth has the same
      cameras and size.

    Raises:
      MissingFile: a file or folder is missing; the message names the path.
      InputError: the source is not as expected; the message says what was expected and found.
    """
    inputs, truth, has_poses = load_source(spec, background)
    clean = None if has_poses else _clean(inputs, truth, spec.views)
    if note := up_note(spec, inputs):
        inputs = inputs.replace(notes=(*inputs.notes, note))
    if to_cube is None:
        to_cube = source_to_cube(spec, inputs, has_poses)
    return _moved(Dataset(inputs, truth, clean, to_cube))


def load_source(
    spec: DataSpec, background: np.ndarray | None
) -> tuple[ViewSet, ViewSet | None, bool]:
    """Reads input and truth views with cameras in the source's frame.

    Args:
      spec: the source; any kind except the toy.
      background: [3] in [0, 1], or None to detect the colour.

    Returns:
      The inputs, the truth or None, and whether the source's files contain poses.

    Raises:
      MissingFile, InputError: see `read_dataset`.
    """
    path = find_path(spec.path)
    kind = source_kind(spec)
    axis, has_poses = None, kind in ("transforms", "colmap")
    if has_poses:
        if spec.exif == "upright":
            raise InputError(
                "data.exif=upright: pictures with poses from files stay as stored, because the "
                "poses belong to the stored pixels; leave data.exif at auto"
            )
        inputs, truth = (_read_transforms if kind == "transforms" else _read_colmap)(spec, path)
    else:
        rig = _rig(spec)
        how = {} if kind == "video" else {"upright": spec.exif != "stored"}
        how["downscale"] = spec.downscale
        inputs = _READERS[kind](path, rig, **how)
        truth = _read_truth(spec.truth, rig, **how)
        shift = (0.5 - spec.pixel_center) / spec.downscale
        inputs, truth = (_centered(one, shift) for one in (inputs, truth))
        inputs, axis = choose_views(inputs, spec.views), rig_input_axis(rig)
    inputs = make_view_set(
        inputs,
        background,
        spec.mask,
        spec.mask_threshold,
        need_masks=not has_poses,
    ).replace(input_axis=axis)
    if truth is not None:
        mask = "none" if spec.mask == "none" else "auto"
        truth = make_view_set(truth, inputs.background, mask, spec.mask_threshold, need_masks=None)
    return inputs, truth, has_poses


def recognize_kind(path: Path) -> str:
    """Guesses the kind of source (see `DataSpec.kind`) from an existing file or folder."""
    if is_animation(path):
        return "video"
    if path.is_file():
        kinds = {".json": "transforms", **dict.fromkeys(video.SUFFIXES, "video")}
        return kinds.get(path.suffix.lower(), "strip")
    if any((path / name).is_file() for name in ("transforms.json", "transforms_train.json")):
        return "transforms"
    return "colmap" if find_models(path) else "folder"


def _rig(spec: DataSpec) -> Rig:
    known = named_rig(spec.rig).input_deg
    # `complete_rig` refuses an input elevation that the rig does not need; `spec.photo` may be
    # the only reason why it was given.
    asked = not spec.photo or (known is not None and known[1] is None)
    lens = spec.distance, spec.fov_deg, spec.input_elevation_deg if asked else None
    return complete_rig(spec.rig, spec.azimuth_deg, spec.elevation_deg, *lens)


_READERS = {"strip": read_strip, "folder": read_folder, "video": read_video}


def _read_truth(truth: str, rig: Rig, **how: Any) -> PosedPictures | None:
    """Reads the truth of a rig: a folder of files in natural order, or a strip; '' is None."""
    if not truth:
        return None
    path = find_path(truth)
    if path.is_dir():
        return read_folder(path, replace(rig, views=()), **how)
    return read_strip(path, rig, **how)


def _centered(pictures: PosedPictures | None, shift: float) -> PosedPictures | None:
    """Shifts the principal points, so that the first pixel's centre is at 0.5 in the file."""
    if pictures is None:
        return None
    intrinsics = np.array(pictures.cameras.intrinsics)
    intrinsics[:, :2, 2] += shift
    return replace(pictures, cameras=pictures.cameras.replace(intrinsics=intrinsics))


def _read_transforms(spec: DataSpec, path: Path) -> tuple[PosedPictures, PosedPictures | None]:
    """Reads input and truth pictures; decodes only the chosen frames."""
    source = _transforms_file(path, "transforms_train.json")
    frames = read_transforms(source)
    held_out = [frame for frame in frames if frame.split == "test"]
    frames = [frame for frame in frames if frame.split == "train"]
    if not frames:
        raise InputError(f"{source} has no training frames: its file lists leave none for training")
    inputs = load_frames(_chosen(frames, spec.views), source.parent, spec.downscale)
    if spec.truth:
        source = _transforms_file(find_path(spec.truth), "transforms_test.json")
        held_out = read_transforms(source)
    elif path.is_dir() and (path / "transforms_test.json").is_file():
        source = path / "transforms_test.json"
        held_out, notes = _held_out(source)
        inputs = replace(inputs, notes=(*inputs.notes, *notes))
    return inputs, _load_some(held_out, source.parent, spec.downscale)


def _held_out(source: Path) -> tuple[list[Frame], tuple[str, ...]]:
    """Frames of the true pictures that nobody asked for, and lines for the user.

    Some exporters write a transforms_test.json whose pictures are rendered later, if at all.
    """
    try:
        return read_transforms(source), ()
    except MissingFile as error:
        if has_pictures(source):
            raise
        return [], (f"warning: no true pictures, because those of {source} are absent: {error}",)


def _read_colmap(spec: DataSpec, path: Path) -> tuple[PosedPictures, None]:
    """Reads input pictures; a COLMAP model has no truth."""
    if spec.truth:
        raise InputError(f"data.truth must be '' for data.kind=colmap, got {spec.truth!r}")
    model, note = choose_model(path)
    frames, folder = read_colmap(model)
    posed = load_frames(_chosen(frames, spec.views), folder, spec.downscale)
    return replace(posed, notes=(*posed.notes, *filter(None, [note]))), None


def _chosen(frames: list[Frame], views: Sequence[int]) -> list[Frame]:
    if not views:
        return frames
    check_views(views, len(frames))
    return [frames[index] for index in views]


def _load_some(frames: list[Frame], folder: Path, downscale: int) -> PosedPictures | None:
    return load_frames(frames, folder, downscale) if frames else None


def _transforms_file(path: Path, preferred: str) -> Path:
    """Path of the transforms file: the file itself, or the one in the folder."""
    if path.is_file():
        return path
    for name in (preferred, "transforms.json"):
        if (path / name).is_file():
            return path / name
    raise MissingFile(f"no {preferred} and no transforms.json in {path}")


def _clean(inputs: ViewSet, truth: ViewSet | None, views: Sequence[int]) -> np.ndarray | None:
    """Truth pictures at the input views; None if their size differs from the inputs'."""
    if truth is None or truth.images.shape[1:] != inputs.images.shape[1:]:
        return None
    return truth.images[list(views)] if views else truth.images


def source_to_cube(spec: DataSpec, inputs: ViewSet, has_poses: bool) -> Similarity:
    """Similarity from the source's frame to the object's cube.

    Args:
      spec: the source; `spec.similarity` is used if given.
      inputs: input views in the source's frame.
      has_poses: whether the source's files contain poses; then the similarity is found from
        cameras and masks, else the frames are the same.

    Raises:
      InputError: no similarity can be found.
    """
    up = source_up(spec, inputs)
    rotation = None if up is None else turn_upright(up)
    if spec.similarity:
        return explicit_similarity(spec.similarity, rotation)
    if has_poses:
        return find_similarity(inputs.cameras, inputs.masks, rotation)
    one = identity_similarity()
    return one if rotation is None else one.replace(rotation=rotation)


def source_up(spec: DataSpec, inputs: ViewSet) -> np.ndarray | None:
    """[3] direction in the source's frame that becomes up; None keeps the source's frame.

    The frame of a COLMAP model is arbitrary; transforms files and rigs have z up.
    """
    if spec.up:
        return None if spec.up == Z_UP else np.asarray(spec.up) / np.linalg.norm(spec.up)
    if spec.similarity or source_kind(spec) != "colmap":
        return None
    return camera_up(inputs.cameras)


def up_note(spec: DataSpec, inputs: ViewSet) -> str:
    """A line on the place of a single view's object, or on which way is up, or ''.

    Only sources with poses leave these open.

    Args:
      spec: the source.
      inputs: input views, cameras in the source's frame.
    """
    kind = source_kind(spec)
    if spec.up or spec.similarity or kind not in ("transforms", "colmap"):
        return ""
    if len(inputs.names) == 1:
        return (
            "warning: one camera does not tell how far away the object is: it is taken to lie at "
            "the point of the camera's axis closest to the file's origin; "
            "--config.data.similarity=(scale,tx,ty,tz) places it"
        )
    up = camera_up(inputs.cameras)
    if up is None:
        if kind == "transforms":
            return ""
        return (
            "the cameras do not tell which way is up: the object keeps COLMAP's frame; "
            "--config.data.up=(x,y,z) turns that direction up"
        )
    tilt = tilt_deg(up)
    if kind == "colmap":
        return (
            ""
            if tilt < LEVEL
            else (
                f"up is taken from the cameras, {tilt:.0f} degrees from COLMAP's z; "
                "--config.data.up=(0,0,1) keeps COLMAP's frame"
            )
        )
    if tilt < TILTED:
        return ""
    words = ",".join(f"{one:.2f}" for one in up)
    return (
        f"warning: the cameras are held {tilt:.0f} degrees off the file's z, so the object may lie "
        f"on its side; --config.data.up=({words}) turns it upright"
    )


def source_kind(spec: DataSpec) -> str:
    """The kind of a source, recognised from its path where the kind is left open."""
    return recognize_kind(find_path(spec.path)) if spec.kind == "auto" else spec.kind


def _moved(dataset: Dataset) -> Dataset:
    """Moves all cameras into the cube by `to_cube`."""

    def move(views: ViewSet) -> ViewSet:
        return views.replace(cameras=transform_cameras(views.cameras, dataset.to_cube))

    truth = None if dataset.truth is None else move(dataset.truth)
    return dataset.replace(inputs=move(dataset.inputs), truth=truth)
