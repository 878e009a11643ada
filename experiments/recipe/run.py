"""Scores training recipes against the truth of several objects.

python -m experiments.recipe.run --out=DIR --objects=FOLDER [--variants=mlp,hash]
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator

from absl import app, flags
from ml_collections import ConfigDict

from configs import hash as hash_grid
from experiments.speed import measure
from jaxvsnerf.config import resolve
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.errors import InputError
from jaxvsnerf.run.dataset import read_pictures
from jaxvsnerf.simulate.inconsistency import damage_views
from jaxvsnerf.study.objects import StudyObject, find_objects
from jaxvsnerf.system.compilation import configure
from jaxvsnerf.system.paths import user_path
from jaxvsnerf.types import Dataset

COLUMNS = ("variant", "object", "stage", "step", "psnr")


def _steps(one: int, two: int, three: int) -> dict[str, int]:
    return {"stage1.steps": one, "stage2.steps": two, "stage3.steps": three}


def _rates(one: tuple[float, float], two: tuple[float, float]) -> dict[str, float]:
    values = {"stage1": one, "stage2": two}
    return {
        f"{stage}.{name}": value
        for stage, rates in values.items()
        for name, value in zip(("lr_init", "lr_final"), rates, strict=True)
    }


SLOW = {
    **_rates((1e-3, 1e-4), (5e-4, 1e-4)),
    **{"stage1.warmup": 100, "stage2.warmup": 100, "stage1.rays": 4096},
}
STRICT = {"sampling.hull_outside": 0.0}
HALF = {**SLOW, **_steps(500, 250, 50)}
# Name -> config to start from, and its changes.
VARIANTS = {
    "mlp": (default_config, {}),
    "mlp-4096-rays": (default_config, {"stage1.rays": 4096, "stage2.lr_init": 1e-3}),
    "mlp-long": (default_config, {**SLOW, **_steps(1000, 500, 100)}),
    "mlp-half": (default_config, HALF),
    "mlp-half-strict-hull": (default_config, {**HALF, **STRICT}),
    "hierarchical": (
        default_config,
        {**SLOW, **_steps(1000, 0, 0), "sampling.kind": "hierarchical"},
    ),
    "hash": (hash_grid.get_config, {}),
    "hash-4096-rays": (
        hash_grid.get_config,
        {**_steps(150, 150, 40), "stage1.rays": 4096, "stage2.rays": 4096},
    ),
    "hash-few-waves": (
        hash_grid.get_config,
        {**SLOW, **_steps(250, 200, 50), "stage1.warmup": 20, "stage2.warmup": 20,
         "stage2.rays": 4096,
         "field.pos_freqs": 1, "field.skip_layer": 0},
    ),
}  # fmt: skip


def dataset_of(item: StudyObject, config: ConfigDict) -> Dataset:
    """Loads the pictures of an object; inputs are simulated if the object has truth alone.

    Raises:
      InputError: the object has no truth pictures.
    """
    dataset = read_pictures(resolve.with_data(config, item.data))
    if dataset.truth is None:
        raise InputError(f"{item.name}: expected truth pictures, there are none")
    if item.inputs == "truth":
        dataset = dataset.replace(inputs=damage_views(dataset.inputs, "medium", seed=1))
    return dataset


def scores(variant: str, item: StudyObject) -> Iterator[tuple]:
    """Yields a row for the middle and the end of every stage."""
    made, values = VARIANTS[variant]
    config = measure.changed(made(), values)
    session = measure.Session(config, dataset_of(item, config))
    for stage in session.trainer.stages:
        take, done = session.begin(stage), 0
        for step in sorted({stage.steps // 2, stage.steps}):
            take(step - done)
            done = step
            yield variant, item.name, stage.name, step, round(session.psnr(stage), 3)


def main() -> None:
    """Runs the command.

    Raises:
      app.UsageError: a flag is missing.
    """
    out = flags.DEFINE_string("out", "", "Folder for results.csv.")
    folders = flags.DEFINE_list("objects", [], "Folders of objects with truth.")
    names = flags.DEFINE_list("names", [], "Which of the objects; all if none is named.")
    variants = flags.DEFINE_list("variants", [], "Which of them; all if none is named.")

    def command(_) -> None:
        configure(os.environ)
        chosen = variants.value or list(VARIANTS)
        unknown = [name for name in chosen if name not in VARIANTS]
        if unknown or not out.value or not folders.value:
            raise app.UsageError(
                f"--out and --objects are needed, --variants are some of {', '.join(VARIANTS)}"
            )
        objects, _ = find_objects(folders.value)
        objects = [item for item in objects if item.name in names.value or not names.value]
        path = user_path(out.value) / "results.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if not file.tell():
                writer.writerow(COLUMNS)
            for variant in chosen:
                for item in objects:
                    for row in scores(variant, item):
                        writer.writerow(row)
                        file.flush()
                        print(*row, flush=True)

    app.run(command)


if __name__ == "__main__":
    main()
