"""Compares external programs by the files that they read and write.

`run --export` writes every case in the format of nerfstudio: pictures with opacity, and
transforms.json. transforms_test.json lists the cameras to render. The program writes
`<method>/000.png` ... beside this file, and `run --renders=FOLDER --methods=<method>` scores them.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.inconsistency_bench.cases import Case, case_name
from experiments.inconsistency_bench.methods import Method, Renderer
from jaxvsnerf.data.images import composite, read_picture
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.system.files import replacing, write_text
from jaxvsnerf.types import Cameras, ViewSet

DIGEST = "digest.txt"


def digest(views: ViewSet) -> str:
    """Hash that identifies the pictures of a case."""
    pixels = np.round(255.0 * np.asarray(views.images)).astype(np.uint8)
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def write_case(folder: Path, case: Case, views: ViewSet, truth: ViewSet) -> Path:
    """Writes a case into a new folder below `folder`.

    Args:
      folder: folder of all cases.
      case: the case; its name is the name of the new folder.
      views: inputs of the case.
      truth: views to render.

    Returns:
      The folder of the case.
    """
    here = folder / case_name(case)
    names = [f"images/{index:03d}.png" for index in range(len(views.images))]
    for index, name in enumerate(names):
        opacity = np.ones_like(views.images[index][..., :1])
        if views.masks is not None:
            opacity = views.masks[index][..., None]
        write_picture(here / name, views.images[index], opacity, views.background)
    write_transforms(here / "transforms.json", views.cameras, names)
    renders = [f"METHOD/{index:03d}.png" for index in range(len(truth.images))]
    write_transforms(here / "transforms_test.json", truth.cameras, renders)
    write_text(here / DIGEST, digest(views) + "\n")
    return here


def write_picture(
    path: Path, image: np.ndarray, opacity: np.ndarray, background: np.ndarray
) -> None:
    """Writes a PNG with straight alpha.

    Args:
      path: the file.
      image: [height, width, 3] in [0, 1], composited over the background.
      opacity: [height, width, 1] in [0, 1].
      background: [3].
    """
    color = (image - background * (1.0 - opacity)) / np.maximum(opacity, 1e-3)
    pixels = np.round(255.0 * np.concatenate([color.clip(0.0, 1.0), opacity], -1))
    with replacing(path) as temporary:
        Image.fromarray(pixels.astype(np.uint8)).save(temporary)


def write_transforms(path: Path, cameras: Cameras, names: list[str]) -> None:
    """Writes camera-to-world poses with OpenGL axes, in the format of nerfstudio.

    Args:
      path: the file.
      cameras: V cameras.
      names: V file names of the pictures.
    """
    w2c = np.tile(np.eye(4), (len(names), 1, 1))
    w2c[:, :3] = cameras.w2c
    poses = np.linalg.inv(w2c) @ np.diag([1.0, -1.0, -1.0, 1.0])
    frames = []
    for name, pose, k in zip(names, poses, np.asarray(cameras.intrinsics, float), strict=True):
        values = dict(fl_x=k[0, 0], fl_y=k[1, 1], cx=k[0, 2], cy=k[1, 2])
        values.update(w=cameras.width, h=cameras.height)
        frames.append(dict(values, file_path=name, transform_matrix=pose.tolist()))
    write_text(path, json.dumps({"frames": frames}, indent=1) + "\n")


def outside_methods(folder: str) -> dict[str, Method]:
    """Finds the methods with pictures in the cases below a folder; none for ''.

    Raises:
      MissingFile: the folder holds no case.
    """
    if not folder:
        return {}
    cases = {path.read_text().strip(): path.parent for path in Path(folder).glob(f"*/{DIGEST}")}
    if not cases:
        raise MissingFile(
            f"--renders: expected cases that --export wrote in {folder}, there are none"
        )
    names = {path.name for case in cases.values() for path in case.iterdir() if path.is_dir()}
    return {name: partial(_read_case, cases, name) for name in sorted(names - {"images"})}


def _read_case(cases: dict[str, Path], name: str, views: ViewSet, seed: int) -> Renderer:
    """A method that reads the pictures of a program for these views."""
    if (case := cases.get(digest(views))) is None:
        raise InputError(f"{name}: these pictures are not among the cases that were exported")

    def render(cameras: Cameras) -> np.ndarray:
        paths = [case / name / f"{index:03d}.png" for index in range(len(cameras.w2c))]
        pictures = [read_picture(path) for path in paths]
        images = [
            one.rgb if one.alpha is None else composite(one.rgb, one.alpha, views.background)
            for one in pictures
        ]
        shapes = {image.shape[:2] for image in images} - {(cameras.height, cameras.width)}
        if shapes:
            raise InputError(
                f"{case / name}: expected pictures of {cameras.width}x{cameras.height}, "
                f"got {sorted(shapes)} (height, width)"
            )
        return np.stack(images)

    return render
