"""Reads COLMAP models, text and binary, as the frames of a transforms file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxvsnerf.data.colmap_files import ModelCamera, ModelImage, read_model
from jaxvsnerf.data.distortion import check_undistorted
from jaxvsnerf.data.images import natural_key
from jaxvsnerf.data.mask_files import mask_folder, mask_of
from jaxvsnerf.data.transforms import Frame, inside_folder
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.system.paths import in_any_case

# Places of models in a project folder (in numbered folders there, or right there), and of the
# pictures relative to a model, in order of preference.
MODELS = ("", "sparse", "colmap/sparse")
UP = (".", "..", "../..", "../../..")
# Places of the pictures from the model's folder. COLMAP's names may begin with images/ themselves.
IMAGES = (*(f"{place}/images" for place in UP), *UP)


def find_models(folder: Path) -> list[Path]:
    """Folders of the COLMAP models of a project's folder; empty if there is no model.

    COLMAP's mapper writes sparse/0, sparse/1 ... where the pictures fall apart into groups. A
    folder that is a model itself is the only one.
    """
    for place in MODELS:
        # Of a folder called sparse, any model counts: sparse/aligned too.
        inner = [one for one in (folder / place).glob("*") if place or one.name.isdecimal()]
        places = [folder / place, *sorted(inner, key=lambda one: natural_key(one.name))]
        models = [one for one in places if _is_model(one)]
        if models:
            return models[:1] if models[0] == folder else models
    return []


def _is_model(folder: Path) -> bool:
    return any((folder / f"cameras{suffix}").is_file() for suffix in (".bin", ".txt"))


def choose_model(path: Path) -> tuple[Path, str]:
    """The model of most pictures in a project's folder, and a line about the others or ''.

    Raises:
      MissingFile: no model.
    """
    models = find_models(path)
    if not models:
        raise MissingFile(
            f"no COLMAP model in {path}: expected cameras.bin or cameras.txt there or in "
            "sparse, sparse/0, colmap/sparse/0 and so on"
        )
    if len(models) == 1:
        return models[0], ""
    counts = []
    for model in models:
        try:
            counts.append(len(read_model(model)[1]))
        except (InputError, OSError):
            counts.append(0)  # damaged: read only if no other model is there
    best = max(range(len(models)), key=counts.__getitem__)
    left = [index for index in range(len(models)) if index != best]
    others = ", ".join(f"{models[index].relative_to(path)} with {counts[index]}" for index in left)
    return models[best], (
        f"{path} holds {len(models)} COLMAP models: {models[best].relative_to(path)} with "
        f"{counts[best]} pictures is read, not {others}; --config.data.path={models[left[0]]} "
        f"reads {models[left[0]].relative_to(path)}"
    )


def read_colmap(path: str | Path) -> tuple[list[Frame], Path]:
    """Reads a model and finds its pictures; the model's points are not read.

    Args:
      path: a model's folder (cameras.bin and images.bin, or both as .txt), or a project's folder,
        see `choose_model`; pictures lie in images/ beside the model, masks in masks/, named after
        the pictures (NAME.png or STEM.png).

    Returns:
      The registered pictures in natural order of their names, and the pictures' folder.

    Raises:
      MissingFile: no model, or a picture is missing.
      InputError: the model is damaged, or a camera is not a pinhole without distortion.
    """
    model, _ = choose_model(Path(path))
    cameras, images = read_model(model)
    if not images:
        raise InputError(f"{model} has no picture with a pose")
    images = sorted(images, key=lambda image: natural_key(image.name))
    folder = _picture_folder(model, images[0].name)
    return [_frame(folder, image, cameras[image.camera], model) for image in images], folder


_PERSPECTIVE = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV")


def _frame(folder: Path, image: ModelImage, camera: ModelCamera, model: Path) -> Frame:
    name, w2c, numbers = image.name, image.w2c, camera.numbers
    where = f"{name} of {model}"
    if camera.model not in _PERSPECTIVE:
        raise InputError(
            f"{where} has a camera {camera.model}, which is not supported (only pinholes without "
            "distortion); undistort the pictures first, with COLMAP's image_undistorter"
        )
    focal_x, focal_y = (numbers.get(name, numbers.get("f")) for name in ("fx", "fy"))
    intrinsics = np.array([[focal_x, 0, numbers["cx"]], [0, focal_y, numbers["cy"]], [0, 0, 1]])
    check_undistorted(
        numbers, intrinsics, camera.width, camera.height, f"{where}, a camera {camera.model},"
    )
    rotation = w2c[:, :3].T
    # OpenGL axes, as in a transforms file: y and z change sign.
    c2w = np.concatenate([rotation * np.array([1.0, -1.0, -1.0]), -rotation @ w2c[:, 3:]], 1)
    masks = mask_folder(folder.parent, folder)
    mask = mask_of(name, masks) if masks else None
    return Frame(
        picture=inside_folder(folder, name, where),
        mask=inside_folder(masks, mask, where) if mask else None,
        c2w=c2w,
        fields=dict(
            fl_x=focal_x,
            fl_y=focal_y,
            cx=numbers["cx"],
            cy=numbers["cy"],
            w=camera.width,
            h=camera.height,
        ),
        split="train",
    )


def _picture_folder(model: Path, name: str) -> Path:
    for place in IMAGES:
        folder = (model / place).resolve()
        if in_any_case(folder / name):
            return folder
    raise MissingFile(
        f"the pictures of {model} were not found: no {name} in images/ there or up to three "
        "folders above"
    )
