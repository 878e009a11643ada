"""The readings of sources that can be read in more than one way, and the choice between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from jaxvsnerf.data.images import SUFFIXES, is_turned, list_pictures
from jaxvsnerf.data.load import load_source, source_kind, source_to_cube
from jaxvsnerf.data.spec import DataSpec, background_color
from jaxvsnerf.diagnose.readings import Agreement, Reading, choose_reading, view_agreement
from jaxvsnerf.geometry.cameras import optical_axes, transform_cameras
from jaxvsnerf.preprocess.photo_view import load_photo
from jaxvsnerf.system.paths import find_path
from jaxvsnerf.types import ViewSet

# Difference between the first and the last frame, as a share of that between the first two, below
# which both may show the same view.
SAME_FRAME = 0.5


class Option(NamedTuple):
    """A reading of a source, as settings.

    Attributes:
      name: see `Reading`.
      setting: see `Reading`.
      spec: the source with the settings of this reading.
    """

    name: str
    setting: str
    spec: DataSpec


def decide(spec: DataSpec) -> tuple[DataSpec, tuple[str, ...]]:
    """Decides what a source leaves open, by the agreement of the views or of the photo.

    Args:
      spec: the source, any kind except the toy.

    Returns:
      The source with the settings of the chosen readings, and a line for each choice.

    Raises:
      MissingFile, InputError: see `load_source`.
    """
    spec, notes = _chosen(spec, _exif(spec), view_agreement)
    if _is_sv3d(spec):
        spec, more = _chosen(spec, _spacings(spec), view_agreement)
        notes += more
    if _is_sv3d(spec):
        spec, more = _input_frame(spec)
        notes += more
    return spec, notes


def _chosen(
    spec: DataSpec, options: Sequence[Option], agreement: Agreement
) -> tuple[DataSpec, tuple[str, ...]]:
    """The spec of the best option and the sentence about the choice; `spec` without options."""
    if not options:
        return spec, ()
    readings = [Reading(one.name, one.setting, partial(_views, one.spec)) for one in options]
    choice = choose_reading(readings, agreement)
    return options[choice.index].spec, (choice.text,)


def _views(spec: DataSpec) -> ViewSet:
    return load_source(spec, background_color(spec.background))[0]


def _exif(spec: DataSpec) -> list[Option]:
    """Upright or as stored, where a rig's pictures have an EXIF orientation."""
    kind = source_kind(spec)
    if spec.exif != "auto" or kind not in ("folder", "strip"):
        return []
    path = find_path(spec.path)
    if path.is_dir():
        has_pictures = any(one.suffix.lower() in SUFFIXES for one in path.iterdir())
        paths = list_pictures(path) if has_pictures else []
    else:
        paths = [path]
    if not any(map(is_turned, paths)):
        return []
    names = {
        "upright": "pictures turned by their EXIF orientation, as viewers show them",
        "stored": "pictures as stored, without their EXIF orientation",
    }
    return [
        Option(name, f"data.exif={key}", replace(spec, exif=key)) for key, name in names.items()
    ]


def _is_sv3d(spec: DataSpec) -> bool:
    """Whether SV3D's frames leave open which of them shows the photo."""
    named = spec.azimuth_deg or spec.views or spec.input_view >= 0
    return spec.rig == "sv3d" and not named


def _spacings(spec: DataSpec) -> list[Option]:
    """SV3D's frames 17.14 degrees apart, or ComfyUI's 18, where the last frame may be the first."""
    images = _views(spec).images
    near, ends = (float(np.abs(images[0] - images[k]).mean()) for k in (1, -1))
    if ends > SAME_FRAME * near:
        return []
    return [
        Option("SV3D's frames, 17.14 degrees apart", "data.input_view=20", spec),
        Option(
            "ComfyUI's frames, 18 degrees apart, the photo's view first and last",
            "data.rig=sv3d-comfyui",
            replace(spec, rig="sv3d-comfyui"),
        ),
    ]


def _input_frame(spec: DataSpec) -> tuple[DataSpec, tuple[str, ...]]:
    """Whether SV3D's last or first frame shows the photo: the photo's outline tells, else a line.

    Counting the azimuth from another frame turns the whole world, which changes no agreement.
    """
    if not spec.photo:
        return spec, (
            "the last frame is taken for the view of the photo; where the first frame shows the "
            "photo, take --config.data.input_view=0",
        )
    options = [
        Option(f"frames of which the {word} shows the photo", f"data.input_view={index}", one)
        for word, index in (("last", 20), ("first", 0))
        for one in [replace(spec, input_view=index)]
    ]
    taken: list[int] = [option.spec.input_view for option in options]
    left = iter(taken)
    return _chosen(spec, options, lambda views: _photo_overlap(spec, views, next(left)))


def _photo_overlap(spec: DataSpec, views: ViewSet, index: int) -> float:
    """Overlap of the photo's outline with the hull's, seen from a frame's azimuth."""
    cameras = transform_cameras(views.cameras, source_to_cube(spec, views, has_poses=False))
    views = views.replace(cameras=cameras, input_axis=np.asarray(optical_axes(cameras))[index])
    path, elevation = find_path(spec.photo), spec.input_elevation_deg
    return load_photo(path, views, elevation, spec.photo_weight, spec.mask_threshold).overlap
