"""Makes an object from a strip with a cropped and scaled photo, and from its truth.

    python -m experiments.inconsistency_bench.zoomed --strip=STRIP.png --truth=FOLDER \
        --mesh=MESH.obj --out=OBJECTS/NAME

SyncDreamer scales the photo's object to a fixed size, so its views show the object larger or
smaller and displaced. The boxes around the silhouettes give the similarity that corrects this. OUT
receives the object with corrected input cameras: transforms.json and pictures, truth and mesh.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from absl import flags
from scipy.optimize import least_squares

from experiments.inconsistency_bench.outside import write_picture, write_transforms
from jaxvsnerf.data.meshes import read_surface
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import inverse_similarity, project, transform_cameras
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.system import cli
from jaxvsnerf.system.paths import find_path, user_path
from jaxvsnerf.types import Cameras, Dataset, Similarity, ViewSet

# Residuals of boxes above this count less, because generated silhouettes have outliers.
ROBUST_PX = 1.0


def mask_boxes(masks: np.ndarray) -> np.ndarray:
    """Boxes (left, top, right, bottom) [V, 4] of values above 0.5 in masks [V, height, width]."""
    boxes = []
    for mask in masks > 0.5:
        columns, rows = (np.flatnonzero(mask.any(axis)) for axis in (0, 1))
        boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    return np.array(boxes, np.float64)


def point_boxes(cameras: Cameras, points: np.ndarray) -> np.ndarray:
    """Boxes (left, top, right, bottom) [V, 4] of projected points [N, 3]."""
    pairs = zip(cameras.intrinsics, cameras.w2c, strict=True)
    pixels = np.stack([np.asarray(project(k, w2c, points)[0]) for k, w2c in pairs])
    return np.concatenate([pixels.min(1), pixels.max(1)], -1)


def find_zoom(views: ViewSet, points: np.ndarray) -> tuple[Similarity, float]:
    """Finds the scale and shift of the object in the views, relative to the true object.

    Args:
      views: V views with masks.
      points: [N, 3] points of the true surface.

    Returns:
      The similarity from the true frame to the frame of the views' cameras, without rotation; and
      the median residual of the boxes' sides, in pixels.
    """
    boxes = mask_boxes(views.masks)

    def off(numbers: np.ndarray) -> np.ndarray:
        return (
            point_boxes(views.cameras, np.exp(numbers[0]) * points + numbers[1:]) - boxes
        ).ravel()

    found = least_squares(off, np.zeros(4), loss="soft_l1", f_scale=ROBUST_PX, diff_step=1e-4)
    similarity = Similarity(np.exp(found.x[0]), np.eye(3), found.x[1:])
    return similarity, float(np.median(np.abs(off(found.x))))


def write_object(folder: Path, data: Dataset, similarity: Similarity) -> None:
    """Writes views and truth in the format of nerfstudio.

    Args:
      folder: folder of the object.
      data: views and truth.
      similarity: moves the cameras of the views.
    """
    cameras = transform_cameras(data.inputs.cameras, similarity)
    for name, views, poses, part in (
        ("transforms.json", data.inputs, cameras, "images"),
        ("transforms_test.json", data.truth, data.truth.cameras, "truth"),
    ):
        files = [f"{part}/{index:03d}.png" for index in range(len(views.images))]
        for file, image, opacity in zip(files, views.images, views.masks, strict=True):
            write_picture(folder / file, image, opacity[..., None], views.background)
        write_transforms(folder / name, poses, files)


def main() -> None:
    """Runs the command.

    Raises:
      InputError: a flag is missing.
      FileExistsError: the folder of the object exists.
    """
    strip = flags.DEFINE_string("strip", "", "The generator's strip.")
    truth = flags.DEFINE_string("truth", "", "Folder of the truth pictures.")
    mesh = flags.DEFINE_string("mesh", "", "The true geometry.")
    out = flags.DEFINE_string("out", "", "Folder of the object; its name is the object's.")

    def command(_) -> None:
        if not all(flag.value for flag in (strip, truth, mesh, out)):
            raise InputError("expected --strip, --truth, --mesh and --out")
        folder, source = user_path(out.value), find_path(mesh.value)
        if folder.exists():
            raise FileExistsError(f"{folder} exists; name another folder or remove it")
        data = load_dataset(DataSpec(kind="strip", path=strip.value, truth=truth.value))
        zoom, off_px = find_zoom(data.inputs, read_surface(source).vertices)
        cli.say(
            f"the views show the object {zoom.scale:.3f} times as large, moved by "
            f"{np.round(zoom.translation, 4).tolist()}; boxes are off by {off_px:.2f} px"
        )
        folder.parent.mkdir(parents=True, exist_ok=True)
        # The object is written whole or not at all.
        with TemporaryDirectory(dir=folder.parent) as temporary:
            made = Path(temporary) / folder.name
            write_object(made, data, inverse_similarity(zoom))
            shutil.copy(source, made / "mesh.obj")
            made.rename(folder)

    cli.run(command)


if __name__ == "__main__":
    main()
