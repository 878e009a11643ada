"""Renders the final field of a run: every view beside its input and truth, and a turntable."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxvsnerf.config.resolve import turntable_spec
from jaxvsnerf.fields.neus import NORMAL
from jaxvsnerf.geometry.cameras import camera_centers, match_cameras, orbit_cameras, take
from jaxvsnerf.metrics.disagreement import disagreement
from jaxvsnerf.pictures.images import (
    depth_picture,
    depth_range,
    difference_picture,
    normal_picture,
    opacity_picture,
    side_by_side,
)
from jaxvsnerf.pictures.video import write_mp4
from jaxvsnerf.preprocess.photo_view import shrink_view, shrunk_cameras
from jaxvsnerf.rendering.images import Picture
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.run.workdir import load_settings
from jaxvsnerf.system.paths import file_name
from jaxvsnerf.system.png import write_png
from jaxvsnerf.types import Cameras, Dataset, ViewSet

# SyncDreamer's focal length (in picture widths) and distance, with which the whole cube is in the
# picture.
TURNTABLE_FOCAL, TURNTABLE_DISTANCE = 280 / 256, 1.5
# Longer side of the photo and of its rendering, in pixels.
PHOTO_SIDE = 512


def turntable_cameras(inputs: Cameras, frames: int, size: int) -> Cameras:
    """Cameras of a full turn at the mean elevation of the input views, at most 60 degrees.

    Args:
      inputs: cameras of the input views.
      frames: number of cameras.
      size: side of the square pictures in pixels.
    """
    centers = camera_centers(inputs)
    sine = centers[:, 2] / np.linalg.norm(centers, axis=-1)
    elevation_deg = float(np.clip(np.rad2deg(np.arcsin(sine)).mean(), -60.0, 60.0))
    azimuth_deg = np.arange(frames) * 360.0 / frames
    focal = TURNTABLE_FOCAL * size
    return orbit_cameras(azimuth_deg, elevation_deg, TURNTABLE_DISTANCE, focal, size, size)


class Shown(NamedTuple):
    """Renderings of the final field.

    Attributes:
      truth: renderings at the truth's cameras, None without truth.
      inputs: renderings at the input views' cameras.
      disagreement: [V, H, W], each input view against `inputs`, see `metrics.disagreement`; None
        if the field renders the nearest view alone.
      photo: [1, H, W] of at most 512 pixels at the photo's camera, None without a photo.
    """

    truth: Picture | None
    inputs: Picture
    disagreement: np.ndarray | None
    photo: Picture | None = None


def shown_photo(dataset: Dataset) -> ViewSet | None:
    """The photo at the size of the page, None without a photo."""
    return shrink_view(dataset.photo.view, PHOTO_SIDE) if dataset.photo else None


def look_alone(field: TrainedField) -> Shown:
    """Renders the final field at the cameras of its views and its photo, without their pictures."""
    count = len(field.cameras.w2c) - (field.photo is not None)  # the photo's camera is the last
    inputs = field.render(take(field.cameras, range(count)))
    photo = field.render(shrunk_cameras(field.photo, PHOTO_SIDE)) if field.photo else None
    return Shown(None, inputs, None, photo)


def look(dataset: Dataset, field: TrainedField, truth: Picture | None = None) -> Shown:
    """Renders the final field at the cameras of truth, inputs and photo.

    Args:
      dataset: pictures and cameras of the run.
      field: the final field.
      truth: existing renderings of the field at the truth's cameras, None renders them.
    """
    where = [None]
    if dataset.truth is not None:
        truth = truth or field.render(dataset.truth.cameras)
        if dataset.truth.images.shape[1:] == dataset.inputs.images.shape[1:]:
            where = match_cameras(dataset.inputs.cameras, dataset.truth.cameras)
    # Inputs are rendered only if the truth lacks one of their cameras or has another picture size.
    if None in where:
        inputs = field.render(dataset.inputs.cameras)
    else:
        inputs = jax.tree.map(lambda leaf: leaf[np.asarray(where)], truth)
    photo = field.render(shown_photo(dataset).cameras) if dataset.photo else None
    if field.mode == "nearest":
        return Shown(truth, inputs, None, photo)
    return Shown(truth, inputs, disagreement(dataset.inputs.images, inputs.rgb), photo)


def render_run(folder: Path, dataset: Dataset, field: TrainedField, shown: Shown) -> None:
    """Writes the pictures and the turntable of the final field.

    Args:
      folder: folder of the run.
      dataset: pictures of the run.
      field: the final field.
      shown: renderings of the field.
    """
    inputs, truth = dataset.inputs, dataset.truth
    given = [inputs.images] if dataset.clean is None else [inputs.images, dataset.clean]
    rows = _rows([f"input_{name}" for name in inputs.names], shown.inputs, given)
    if truth is not None:
        known = match_cameras(truth.cameras, inputs.cameras)
        novel = [index for index, match in enumerate(known) if match is None]
        names = [f"novel_{truth.names[index]}" for index in novel]
        pick = np.asarray(novel, int)
        rest = jax.tree.map(lambda leaf: leaf[pick], shown.truth)
        rows |= _rows(names, rest, [truth.images[pick]])
    if shown.disagreement is not None:
        covers = shown.inputs.acc
        covers = covers if inputs.masks is None else np.maximum(covers, inputs.masks)
        maps = zip(inputs.names, shown.disagreement, covers, strict=True)
        rows |= {f"disagreement_{name}": [difference_picture(*one)] for name, *one in maps}
    if shown.photo is not None:
        rows |= _rows(["photo"], shown.photo, [shown_photo(dataset).images])
    _write(folder, field, rows)


def render_alone(folder: Path, names: Sequence[str], field: TrainedField, shown: Shown) -> None:
    """Writes the pictures and the turntable of the final field without the run's pictures.

    Args:
      folder: folder of the run.
      names: V names of the input views.
      field: the final field.
      shown: renderings of the field, see `look_alone`.
    """
    rows = _rows([f"input_{name}" for name in names], shown.inputs, [])
    _write(folder, field, rows | (_rows(["photo"], shown.photo, []) if shown.photo else {}))


def _write(folder: Path, field: TrainedField, rows: dict[str, list[np.ndarray]]) -> None:
    """Writes rows of pictures by name, and the turntable."""
    settings = turntable_spec(load_settings(folder))
    size = settings.turntable_size
    with ThreadPoolExecutor() as pool:  # written while the turntable is rendered
        written = [
            pool.submit(write_png, folder / "renders" / file_name(name, ".png"), side_by_side(row))
            for name, row in rows.items()
        ]
        turn = field.render(turntable_cameras(field.cameras, settings.turntable_frames, size))
        write_mp4(folder / "renders" / "turntable.mp4", turn.rgb, settings.turntable_fps)
        for picture in written:
            picture.result()


def _rows(names: list[str], final: Picture, beside: list) -> dict[str, list[np.ndarray]]:
    """A row per view: the given pictures, then rendering, depth, opacity and normals if known."""
    if not names:
        return {}
    near_far = depth_range(final.distance, final.acc)
    normals = [final.extras[NORMAL]] if NORMAL in final.extras else []
    return {
        name: [
            *(images[index] for images in beside),
            final.rgb[index],
            depth_picture(final.distance[index], final.acc[index], *near_far),
            opacity_picture(final.acc[index]),
            *(normal_picture(one[index], final.acc[index]) for one in normals),
        ]
        for index, name in enumerate(names)
    }
