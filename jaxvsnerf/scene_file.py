"""scene.json: what using a trained field takes beside its parameters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from jaxvsnerf.files import write_text
from jaxvsnerf.types import Cameras, Dataset, Similarity


def save_scene(folder: Path, dataset: Dataset) -> None:
    """Writes the input views' names and cameras, the background and the similarity."""
    views, similarity = dataset.inputs, dataset.to_cube
    scene = dict(
        names=list(views.names),
        width=views.cameras.width,
        height=views.cameras.height,
        intrinsics=np.asarray(views.cameras.intrinsics).tolist(),
        w2c=np.asarray(views.cameras.w2c).tolist(),
        background=np.asarray(views.background).tolist(),
        to_cube=dict(
            scale=float(similarity.scale),
            rotation=np.asarray(similarity.rotation).tolist(),
            translation=np.asarray(similarity.translation).tolist(),
        ),
    )
    write_text(folder / "scene.json", json.dumps(scene) + "\n")


def load_scene(folder: Path) -> tuple[Cameras, np.ndarray, Similarity]:
    """The input views' cameras, the background and the similarity to the cube.

    Raises:
      FileNotFoundError: the run has not started.
    """
    path = Path(folder) / "scene.json"
    if not path.is_file():
        raise FileNotFoundError(f"expected a run's cameras at {path}: train there first")
    scene = json.loads(path.read_text())
    cameras = Cameras(
        intrinsics=np.asarray(scene["intrinsics"], np.float32),
        w2c=np.asarray(scene["w2c"], np.float32),
        width=scene["width"],
        height=scene["height"],
    )
    return cameras, np.asarray(scene["background"], np.float32), Similarity(**scene["to_cube"])
