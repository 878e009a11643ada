"""Reads COLMAP models, text and binary, as the frames of a transforms file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jaxvsnerf.data.images import natural_key
from jaxvsnerf.data.poses import ROTATION_TOLERANCE
from jaxvsnerf.data.transforms import Frame, inside_folder
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.system.extras import require

PIP_LINE = "pip install 'jaxvsnerf[colmap]'"
# Places of a model in a project folder, and of the pictures relative to the model, in order of
# preference.
MODELS = ("", "sparse/0", "sparse", "colmap/sparse/0")
IMAGES = ("images", "../images", "../../images", "../../../images", ".")


def find_model(folder: Path) -> Path | None:
    """Finds the folder of a COLMAP model in a project's folder; None if there is no model."""
    for place in MODELS:
        model = folder / place
        if any((model / f"cameras{suffix}").is_file() for suffix in (".bin", ".txt")):
            return model
    return None


def read_colmap(path: str | Path) -> tuple[list[Frame], Path]:
    """Reads a model with pycolmap and finds its pictures.

    Args:
      path: a model's folder (cameras.bin or cameras.txt, and so on), or a project's folder with
        sparse/0; pictures lie in images/ beside the model, masks in masks/NAME.png.

    Returns:
      The registered pictures in natural order of their names, and the pictures' folder.

    Raises:
      MissingFile: no model, or a picture is missing.
      InputError: the model is damaged, or a camera is not a pinhole without distortion.
      MissingExtra: pycolmap is missing.
    """
    model = find_model(Path(path))
    if model is None:
        raise MissingFile(
            f"no COLMAP model in {path}: expected cameras.bin or cameras.txt there or in "
            f"{', '.join(MODELS[1:])}"
        )
    pycolmap = require("pycolmap", "reading a COLMAP model", PIP_LINE)
    try:
        found = pycolmap.Reconstruction(str(model))
        images = [(i.name, i.cam_from_world().matrix(), i.camera_id) for i in _posed(found)]
        cameras = {key: _fields(one) for key, one in found.cameras.items()}
    # Exceptions of pycolmap's C++ code on truncated or contradictory files.
    except (ValueError, IndexError, KeyError, RuntimeError, MemoryError) as error:
        raise InputError(f"{model} is not a readable COLMAP model: {error}") from error
    if not images:
        raise InputError(f"{model} has no picture with a pose")
    folder = _picture_folder(model, images[0][0])
    return [_frame(folder, name, pose, cameras[key], model) for name, pose, key in images], folder


def _posed(found: Any) -> list[Any]:
    images = [image for image in found.images.values() if image.has_pose]
    return sorted(images, key=lambda image: natural_key(image.name))


def _fields(camera: Any) -> dict[str, Any]:
    """Camera as the fields of a transforms file, plus COLMAP's model name and distortion."""
    names = [name.strip() for name in camera.params_info.split(",")]
    numbers = dict(zip(names, map(float, camera.params), strict=True))
    extra = {key: value for key, value in numbers.items() if key not in _PINHOLE}
    focal = numbers.get("f")
    return dict(
        model=camera.model_name,
        distortion={key: value for key, value in extra.items() if value != 0.0},
        fl_x=numbers.get("fx", focal),
        fl_y=numbers.get("fy", focal),
        cx=numbers.get("cx"),
        cy=numbers.get("cy"),
        w=camera.width,
        h=camera.height,
    )


_PINHOLE = ("f", "fx", "fy", "cx", "cy")
_PERSPECTIVE = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV")


def _frame(folder: Path, name: str, w2c: np.ndarray, fields: dict[str, Any], model: Path) -> Frame:
    where = f"{name} of {model}"
    if fields["model"] not in _PERSPECTIVE or fields["distortion"]:
        what = ", ".join(f"{key}={value:g}" for key, value in fields["distortion"].items())
        raise InputError(
            f"{where} has a camera {fields['model']}{' with ' + what if what else ''}, which is "
            "not supported (only pinholes without distortion); undistort the pictures first, "
            "with COLMAP's image_undistorter"
        )
    if not np.isfinite(w2c).all() or not np.allclose(
        w2c[:, :3] @ w2c[:, :3].T, np.eye(3), atol=ROTATION_TOLERANCE
    ):
        raise InputError(f"{where} has a pose that is not a finite rotation and translation")
    rotation = w2c[:, :3].T
    # OpenGL axes, as in a transforms file: y and z change sign.
    c2w = np.concatenate([rotation * np.array([1.0, -1.0, -1.0]), -rotation @ w2c[:, 3:]], 1)
    masks = folder.parent / "masks"
    has_mask = (masks / f"{name}.png").is_file()
    return Frame(
        picture=inside_folder(folder, name, where),
        mask=inside_folder(masks, f"{name}.png", where) if has_mask else None,
        c2w=c2w,
        fields={key: fields[key] for key in ("fl_x", "fl_y", "cx", "cy", "w", "h")},
        split="train",
    )


def _picture_folder(model: Path, name: str) -> Path:
    for place in IMAGES:
        folder = (model / place).resolve()
        if (folder / name).is_file():
            return folder
    raise MissingFile(
        f"the pictures of {model} were not found: no {name} in images/ there or up to three "
        "folders above"
    )
