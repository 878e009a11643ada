"""The file scene.json: cameras, background and similarity, needed to use a trained field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxvsnerf.errors import MissingFile
from jaxvsnerf.geometry.cameras import join_cameras
from jaxvsnerf.system.files import read_json, write_text
from jaxvsnerf.types import Cameras, Dataset, Similarity


class SavedScene(NamedTuple):
    """The content of scene.json.

    Attributes:
      cameras: cameras of the branches: of the input views, then of the photo if the run has a
        photo; all with the input views' picture size.
      background: [3].
      to_cube: maps the source's frame to the object's cube.
      photo: the photo's camera with the photo's own picture size, None without a photo.
    """

    cameras: Cameras
    background: np.ndarray
    to_cube: Similarity
    photo: Cameras | None


def save_scene(folder: Path, dataset: Dataset) -> None:
    """Writes names and cameras of the input views, the background and the similarity."""
    views, similarity = dataset.inputs, dataset.to_cube
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
    )
    write_text(folder / "scene.json", json.dumps(scene) + "\n")


def load_scene(folder: Path) -> SavedScene:
    """Reads the scene of a run.

    Raises:
      MissingFile: the run has not started.
    """
    path = Path(folder) / "scene.json"
    if not path.is_file():
        raise MissingFile(f"expected a run's cameras at {path}: train there first")
    scene = read_json(path)
    cameras = _cameras(scene)
    photo = _cameras(scene["photo"]) if scene.get("photo") else None
    return SavedScene(
        cameras=join_cameras(cameras, photo) if photo else cameras,
        background=np.asarray(scene["background"], np.float32),
        to_cube=Similarity(**scene["to_cube"]),
        photo=photo,
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
