"""Folders of tiny objects, and the study command on them."""

import csv
import functools
from pathlib import Path

import numpy as np

from jaxvsnerf.simulate.toy import toy_dataset
from jaxvsnerf.system.png import write_png
from tests import commands

# Four views around the toy and one stage, long enough to be stopped in: what an object goes
# through, at its smallest.
OVERRIDES = (
    "--config.data.rig=orbit",
    "--config.data.elevation_deg=(30.0,)",
    "--config.data.distance=1.5",
    "--config.data.fov_deg=49.13",
    "--config.data.azimuth_deg=(0,90,180,270)",
    "--config.stage1.steps=60",
    "--config.loop.checkpoint_every=4",
    "--config.stage2.steps=0",
    "--config.stage3.steps=0",
    "--config.render.turntable_size=24",
)


@functools.cache
def toy():
    """Four views of 24x24, contradicting and true."""
    return toy_dataset(24, 4, "medium", 0, np.ones(3, np.float32))


def write_strip(path: Path, pictures) -> None:
    """Pictures side by side."""
    write_png(path, np.concatenate(list(pictures), axis=1))


def write_pictures(folder: Path, pictures) -> None:
    """A picture per view."""
    for view, picture in enumerate(pictures):
        write_png(folder / f"{view}.png", picture)


def break_picture(path: Path) -> bytes:
    """Cuts a file short; what it was."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return whole


def arguments(objects, out, *more: str) -> list[str]:
    """Arguments of a study."""
    config = f"--config={commands.ROOT / 'configs' / 'smoke.py'}"
    return [config, *OVERRIDES, f"--objects={objects}", f"--out={out}", *more]


def rows(out: Path) -> dict[str, dict[str, str]]:
    """results.csv by name."""
    with (out / "results.csv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}
