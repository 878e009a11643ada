"""Scores reconstructions with and without the photo as one more view.

python -m experiments.photo_view.run --out=DIR --objects=FOLDER [--small]
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from absl import app, flags
from ml_collections import ConfigDict

from configs import quickstart
from experiments.speed import measure
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.geometry.cameras import optical_axes, orbit_cameras
from jaxvsnerf.metrics.psnr import psnr
from jaxvsnerf.preprocess.photo_view import load_photo, shrink_view
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.simulate.inconsistency import damage_views
from jaxvsnerf.simulate.toy import ToySpec, render_toy
from jaxvsnerf.study.objects import find_objects
from jaxvsnerf.system.compilation import configure
from jaxvsnerf.system.paths import user_path
from jaxvsnerf.system.png import write_png
from jaxvsnerf.types import Dataset

COLUMNS = (
    "object",
    "weight",
    "seed",
    "views_px",
    "photo_px",
    "scored_px",
    "overlap",
    "psnr",
    "front",
    "rest",
)
# Elevation of the true photo, which is that of the generator's rig and of the first truth picture.
ELEVATION_DEG = 30.0
PHOTO_SIDE = 256
# Views count as front if their axis is at most FRONT_DEG from the photo's. The photo's own view,
# within OWN_DEG, does not count.
FRONT_DEG, OWN_DEG = 60.0, 5.0


def toy_case(folder: Path, size: int, seed: int) -> tuple[Dataset, Path]:
    """Damaged views of the toy, and its true picture of 256 pixels from the input view.

    Args:
      folder: receives the true picture.
      size: side of the views in pixels.
      seed: seed of the damage.
    """
    focal = 280.0 * PHOTO_SIDE / 256.0
    camera = orbit_cameras([0.0], ELEVATION_DEG, 1.5, focal, PHOTO_SIDE, PHOTO_SIDE)
    image, mask = render_toy(camera, np.zeros(3))
    straight = image[0] / np.maximum(mask[0], 1e-6)[..., None]
    write_png(folder / "toy.png", np.dstack([np.minimum(straight, 1.0), mask[0]]))
    return load_dataset(DataSpec(kind="toy"), ToySpec(size=size, seed=seed)), folder / "toy.png"


def object_case(gt: Path, downscale: int, scored: int, seed: int) -> tuple[Dataset, Path]:
    """Damaged views of an object, and its first true picture in full size.

    Args:
      gt: folder of the truth pictures.
      downscale: factor that shrinks the views.
      scored: factor that shrinks the truth.
      seed: seed of the damage.
    """
    spec = DataSpec("folder", path=str(gt), mask="alpha", downscale=downscale)
    dataset = load_dataset(spec)
    truth = load_dataset(replace(spec, downscale=scored)).inputs
    inputs = damage_views(dataset.inputs, "medium", seed)
    return dataset.replace(inputs=inputs, truth=truth), gt / "000.png"


def score(config: ConfigDict, dataset: Dataset) -> list[float]:
    """PSNR over all truth views, over the front views, and over the rest."""
    session = measure.Session(config, dataset)
    for stage in session.trainer.stages:
        session.begin(stage)(stage.steps)
    field, truth = session.field(session.trainer.stages[-1]), dataset.truth
    pictures = field.render(truth.cameras).rgb
    pairs = zip(pictures, np.asarray(truth.images), strict=True)
    scores = np.array([psnr(jnp.asarray(a), jnp.asarray(b)) for a, b in pairs])
    cosine = np.asarray(optical_axes(truth.cameras)) @ np.asarray(dataset.inputs.input_axis)
    angle_deg = np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0)))
    front = (angle_deg > OWN_DEG) & (angle_deg <= FRONT_DEG)
    return [scores.mean(), scores[front].mean(), scores[angle_deg > FRONT_DEG].mean()]


def rows(
    name: str,
    config: ConfigDict,
    case: tuple[Dataset, Path],
    weights: list[float],
    share: float,
    seed: int,
) -> Iterator[tuple]:
    """Yields a row for each weight.

    Args:
      name: name of the object.
      config: settings of the training.
      case: the views, and the path of the photo.
      weights: weights of the photo; 0 trains without the photo.
      share: factor that shrinks the photo.
      seed: seed of the damage, for the row.
    """
    dataset, path = case
    photo = load_photo(path, dataset.inputs, ELEVATION_DEG, 1.0, 0.04)
    side = round(share * max(photo.view.masks.shape))
    photo = photo.replace(view=shrink_view(photo.view, side))
    for weight in weights:
        given = dataset.replace(photo=photo.replace(weight=weight) if weight else None)
        values = [round(float(value), 3) for value in score(config, given)]
        known = (dataset.inputs.masks.shape[1], side, dataset.truth.masks.shape[1])
        yield name, weight, seed, *known, round(photo.overlap, 3), *values


def main() -> None:
    """Runs the command.

    Raises:
      app.UsageError: --out is missing.
    """
    out = flags.DEFINE_string("out", "", "Folder for results.csv.")
    folders = flags.DEFINE_list("objects", [], "Folders of objects with truth; none: the toy.")
    names = flags.DEFINE_list("names", [], "Which of the objects; all if none is named.")
    weights = flags.DEFINE_list("weights", ["0", "0.5", "1", "2", "4"], "0: without the photo.")
    seeds = flags.DEFINE_list("seeds", ["1"], "Of the damage and of the training.")
    share = flags.DEFINE_float("share", 1.0, "Of the photo's sides that is kept.")
    scored = flags.DEFINE_integer("scored", 1, "Factor by which the scored truth shrinks.")
    small = flags.DEFINE_bool("small", False, "Views of 64 pixels, for a CPU.")

    def command(_) -> None:
        configure(os.environ)
        if not out.value:
            raise app.UsageError("--out is needed")
        path = user_path(out.value) / "results.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        items, _ = find_objects(folders.value) if folders.value else ([], None)
        chosen = [item for item in items if item.name in names.value or not names.value]
        values = [float(weight) for weight in weights.value]
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if not file.tell():
                writer.writerow(COLUMNS)
            for seed in map(int, seeds.value):
                config = quickstart.get_config() if small.value else default_config()
                config.seed = seed
                cases = {
                    item.name: lambda item=item, seed=seed: object_case(
                        Path(item.path), 4 if small.value else 1, scored.value, seed
                    )
                    for item in chosen
                }
                if not chosen:
                    size = 64 if small.value else PHOTO_SIDE
                    cases["toy"] = lambda size=size, seed=seed: toy_case(path.parent, size, seed)
                for name, case in cases.items():
                    for row in rows(name, config, case(), values, share.value, seed):
                        writer.writerow(row)
                        file.flush()
                        print(*row, flush=True)

    app.run(command)


if __name__ == "__main__":
    main()
