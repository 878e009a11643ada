"""The file scene.json: what a run knows of its pictures without their files.

Cameras, background and similarity are needed to use a trained field; the prints tell whether
pictures are those of the run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxvsnerf.data.images import MAX_PIXELS
from jaxvsnerf.errors import DamagedFile, MissingFile
from jaxvsnerf.geometry.cameras import join_cameras
from jaxvsnerf.run.prints import Prints, dataset_prints
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.records import (
    COPY,
    Wrong,
    fields,
    items,
    maybe,
    named,
    numbers,
    positive,
    read_record,
    text,
    whole,
)
from jaxvsnerf.types import Cameras, Dataset, Similarity

FILE = "scene.json"
MEND = (
    f"{COPY}, or delete the file and give the run's train command again: it makes the file of the "
    "pictures and trains a finished run no further"
)
ROTATION_TOLERANCE = 1e-3  # of the entries of R R^T - I
_CAMERAS = {
    "width": whole(1, MAX_PIXELS),
    "height": whole(1, MAX_PIXELS),
    "intrinsics": numbers(None, 3, 3),
    "w2c": numbers(None, 3, 4),
}
_SIMILARITY = {"scale": positive, "rotation": numbers(3, 3), "translation": numbers(3)}
_PRINTS = named(fields({"picture": text, "mask": maybe(text)}))
# Runs of 0.1.0 lack truth and prints.
_SCENE = fields(
    {
        "names": items(text),
        **_CAMERAS,
        "background": numbers(3),
        "to_cube": fields(_SIMILARITY),
    },
    {
        "photo": maybe(fields(_CAMERAS)),
        "truth": maybe(fields(_CAMERAS)),
        "prints": maybe(fields(dict.fromkeys(("views", "truth", "photo"), _PRINTS))),
    },
)


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
      DamagedFile: the file does not hold a scene: a key, a type, a shape or a camera is wrong.
    """
    path = Path(folder) / FILE
    if not has_scene(folder):
        raise MissingFile(f"expected a run's cameras at {path}: train there first")
    scene = read_record(path, _SCENE, MEND)
    try:
        _check_scene(scene)
    except Wrong as error:
        raise DamagedFile(path, f"expected {error}", MEND) from error
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


def _check_scene(scene: dict[str, Any]) -> None:
    """Raises Wrong where the values of a scene contradict each other or are no cameras."""
    names = scene["names"]
    if len(set(names)) < len(names) or not all(names) or any("/" in name for name in names):
        raise Wrong("names", "different names of files", names)
    prints = scene.get("prints")
    if prints is not None and list(prints["views"]) != names:
        raise Wrong("prints.views", f"those of the views {', '.join(names)}", list(prints["views"]))
    for place, cameras, views in (
        ("", scene, len(names)),
        ("photo", scene.get("photo"), 1),
        ("truth", scene.get("truth"), None),
    ):
        if cameras is not None:
            _check_cameras(cameras, place, views)
    _check_rotation(np.asarray(scene["to_cube"]["rotation"]), "to_cube.rotation")


def _check_cameras(plain: dict[str, Any], place: str, views: int | None) -> None:
    """Raises Wrong unless there is a camera for each view: a rotation, a lens of positive focus."""
    if plain["width"] * plain["height"] > MAX_PIXELS:
        raise Wrong(f"{place}.width", f"of pictures of at most {MAX_PIXELS} pixels", plain["width"])
    poses, lenses = (np.asarray(plain[key], np.float64) for key in ("w2c", "intrinsics"))
    if not len(poses) == len(lenses) == (len(poses) if views is None else views):
        expected = "as many as w2c and names" if views is None or views > 1 else "one, as w2c"
        raise Wrong(f"{place}.intrinsics", expected, f"{len(lenses)}, {len(poses)} and {views}")
    for index, (pose, lens) in enumerate(zip(poses, lenses, strict=True)):
        _check_rotation(pose[:, :3], f"{place}.w2c[{index}]")
        is_lens = lens[0, 0] > 0 and lens[1, 1] > 0 and lens[2, 2] in (0.0, 1.0)
        if not is_lens or lens[2, :2].any() or lens[1, 0]:
            expected = "K with focal lengths above 0 and a last row of 0 0 1 or 0 0 0"
            raise Wrong(f"{place}.intrinsics[{index}]", expected, lens.tolist())


def _check_rotation(rotation: np.ndarray, place: str) -> None:
    """Raises Wrong unless [3, 3] is a rotation."""
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(rotation @ rotation.T - np.eye(3)).max()
        if not (error <= ROTATION_TOLERANCE and np.linalg.det(rotation) > 0):
            raise Wrong(place, "a rotation, orthonormal within 0.001", rotation.tolist())
