"""The file scene.json: what a run knows of its pictures without their files.

Cameras, background and similarity are needed to use a trained field; the prints tell whether
pictures are those of the run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxvsnerf.errors import MissingFile
from jaxvsnerf.geometry.cameras import join_cameras
from jaxvsnerf.run.prints import Prints, dataset_prints
from jaxvsnerf.system.files import read_json, write_text
from jaxvsnerf.types import Cameras, Dataset, Similarity

FILE = "scene.json"


class SavedScene(NamedTuple):
    """The content of scene.json.

    Attributes:
      names: V names of the input views.
      cameras: cameras of the branches: of the input views, then of the photo if the run has a
        photo; all with the input views' picture size.
      background: [3].
      to_cube: maps the source's frame to the object's cube.
      photo: the photo's camera with the photo's own picture size, None without a photo.
      truth: the truth's cameras, None without truth or in a run of an older version.
      prints: see `dataset_prints`; None in a run of an older version.
    """

    names: tuple[str, ...]
    cameras: Cameras
    background: np.ndarray
    to_cube: Similarity
    photo: Cameras | None
    truth: Cameras | None
    prints: dict[str, Prints] | None


def save_scene(folder: Path, dataset: Dataset) -> None:
    """Writes the scene of a run, see `SavedScene`; an equal file stays as it is."""
    views, truth, similarity = dataset.inputs, dataset.truth, dataset.to_cube
    scene = dict(
        names=list(views.names),
        **_plain(views.cameras),
        photo=_plain(dataset.photo.view.cameras) if dataset.photo else None,
        background=np.asarray(views.background).tolist(),
        to_cube=dict(
            scale=float(similarity.scale),
            rotation=np.asarray(similarity.rotation).tolist(),
            translation=np.asarray(similarity.translation).tolist(),
        ),
        truth=_plain(truth.cameras) if truth is not None else None,
        prints=dataset_prints(dataset),
    )
    path, text = folder / FILE, json.dumps(scene) + "\n"
    if not (path.is_file() and path.read_text(encoding="utf-8") == text):
        write_text(path, text)


def has_scene(folder: Path) -> bool:
    """Whether a run has written its scene; training begins only afterwards."""
    return (Path(folder) / FILE).is_file()


def load_scene(folder: Path) -> SavedScene:
    """Reads the scene of a run.

    Raises:
      MissingFile: the run has not started.
    """
    path = Path(folder) / FILE
    if not has_scene(folder):
        raise MissingFile(f"expected a run's cameras at {path}: train there first")
    scene = read_json(path)
    cameras = _cameras(scene)
    photo, truth = (_cameras(scene[key]) if scene.get(key) else None for key in ("photo", "truth"))
    return SavedScene(
        names=tuple(scene["names"]),
        cameras=join_cameras(cameras, photo) if photo else cameras,
        background=np.asarray(scene["background"], np.float32),
        to_cube=Similarity(**{key: np.float64(value) for key, value in scene["to_cube"].items()}),
        photo=photo,
        truth=truth,
        prints=scene.get("prints"),
    )


def _plain(cameras: Cameras) -> dict[str, Any]:
    """Converts cameras to values for JSON."""
    return dict(
        width=cameras.width,
        height=cameras.height,
        intrinsics=np.asarray(cameras.intrinsics).tolist(),
        w2c=np.asarray(cameras.w2c).tolist(),
    )


def _cameras(plain: dict[str, Any]) -> Cameras:
    """Reads cameras from their JSON form."""
    return Cameras(
        intrinsics=np.asarray(plain["intrinsics"], np.float32),
        w2c=np.asarray(plain["w2c"], np.float32),
        width=plain["width"],
        height=plain["height"],
    )
