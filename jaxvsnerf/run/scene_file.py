"""scene.json: what using a trained field takes beside its parameters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from jaxvsnerf.errors import MissingFile
from jaxvsnerf.geometry.cameras import join_cameras
from jaxvsnerf.system.files import write_text
from jaxvsnerf.types import Cameras, Dataset, Similarity


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


def load_scene(folder: Path) -> tuple[Cameras, np.ndarray, Similarity]:
    """The cameras of the input views and of the photo, background, similarity to the cube.

    Raises:
      FileNotFoundError: the run has not started.
    """
    path = Path(folder) / "scene.json"
    if not path.is_file():
        raise MissingFile(f"expected a run's cameras at {path}: train there first")
    scene = json.loads(path.read_text())
    cameras = _cameras(scene)
    if scene.get("photo"):
        cameras = join_cameras(cameras, _cameras(scene["photo"]))
    return cameras, np.asarray(scene["background"], np.float32), Similarity(**scene["to_cube"])


def _plain(cameras: Cameras) -> dict[str, Any]:
    """Cameras as JSON holds them."""
    return dict(
        width=cameras.width,
        height=cameras.height,
        intrinsics=np.asarray(cameras.intrinsics).tolist(),
        w2c=np.asarray(cameras.w2c).tolist(),
    )


def _cameras(plain: dict[str, Any]) -> Cameras:
    """Cameras from their JSON form."""
    return Cameras(
        intrinsics=np.asarray(plain["intrinsics"], np.float32),
        w2c=np.asarray(plain["w2c"], np.float32),
        width=plain["width"],
        height=plain["height"],
    )
