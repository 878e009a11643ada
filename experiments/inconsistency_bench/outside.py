"""Programs of their own, compared through the files that they read and leave.

`run --export` writes every case as nerfstudio reads it: pictures with opacity, and
transforms.json. transforms_test.json names the views to render: `<method>/000.png` ... beside
it. `run --renders=FOLDER --methods=<method>` then scores what lies there.
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
from jaxvsnerf.system.files import replacing, write_text
from jaxvsnerf.types import Cameras, ViewSet

DIGEST = "digest.txt"


def digest(views: ViewSet) -> str:
    """What tells the pictures of one case from those of all others."""
    pixels = np.round(255.0 * np.asarray(views.images)).astype(np.uint8)
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def write_case(folder: Path, case: Case, views: ViewSet, truth: ViewSet) -> Path:
    """Writes a case into a folder of its own below `folder`; returns that folder."""
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
    """Writes a picture [height, width, 3] of an opacity [..., 1]: straight alpha, as PNG has it."""
    color = (image - background * (1.0 - opacity)) / np.maximum(opacity, 1e-3)
    pixels = np.round(255.0 * np.concatenate([color.clip(0.0, 1.0), opacity], -1))
    with replacing(path) as temporary:
        Image.fromarray(pixels.astype(np.uint8)).save(temporary)


def write_transforms(path: Path, cameras: Cameras, names: list[str]) -> None:
    """Writes camera-to-world poses with OpenGL axes, as nerfstudio has them."""
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
    """The methods that left pictures in the cases below a folder; none for ''.

    Raises:
      FileNotFoundError: no case there.
    """
    if not folder:
        return {}
    cases = {path.read_text().strip(): path.parent for path in Path(folder).glob(f"*/{DIGEST}")}
    if not cases:
        raise FileNotFoundError(
            f"--renders: expected cases that --export wrote in {folder}, there are none"
        )
    names = {path.name for case in cases.values() for path in case.iterdir() if path.is_dir()}
    return {name: partial(_read_case, cases, name) for name in sorted(names - {"images"})}


def _read_case(cases: dict[str, Path], name: str, views: ViewSet, seed: int) -> Renderer:
    """A method: looks up what a program made of these views."""
    if (case := cases.get(digest(views))) is None:
        raise ValueError(f"{name}: these pictures are not among the cases that were exported")

    def render(cameras: Cameras) -> np.ndarray:
        paths = [case / name / f"{index:03d}.png" for index in range(len(cameras.w2c))]
        pictures = [read_picture(path) for path in paths]
        images = [
            one.rgb if one.alpha is None else composite(one.rgb, one.alpha, views.background)
            for one in pictures
        ]
        shapes = {image.shape[:2] for image in images} - {(cameras.height, cameras.width)}
        if shapes:
            raise ValueError(
                f"{case / name}: expected pictures of {cameras.width}x{cameras.height}, "
                f"got {sorted(shapes)} (height, width)"
            )
        return np.stack(images)

    return render
