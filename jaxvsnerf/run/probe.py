"""Tries a run's folder before training: what the end writes must be writable and readable there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from jaxvsnerf.config.resolve import PATHS
from jaxvsnerf.data.images import read_picture
from jaxvsnerf.data.video import read_frames
from jaxvsnerf.errors import InputError, StorageError, describe, is_expected
from jaxvsnerf.pictures.video import write_mp4
from jaxvsnerf.run.page import FILES, REPORT
from jaxvsnerf.system.paths import check_unicode, file_name
from jaxvsnerf.system.png import write_png
from jaxvsnerf.system.temporary import temporary
from jaxvsnerf.training.checkpoints import Checkpoints
from jaxvsnerf.types import Dataset, TrainState

FOLDERS = ("checkpoints", "renders", "eval")
# The longest name of a view's picture begins like this.
LONGEST_PREFIX = "disagreement_"


def try_workdir(folder: Path, config: ConfigDict, dataset: Dataset, new: bool) -> None:
    """Refuses a folder and names that the end of a run would fail with.

    Args:
      folder: folder of the run.
      config: the settings of the run.
      dataset: pictures of the run.
      new: whether no run has begun in the folder; files are tried in a new one alone.

    Raises:
      InputError: a name is not UTF-8, or something else has the name of a file of the run.
      StorageError: what is written in the folder cannot be read back.
      MissingExtra: the package of the video is missing.
    """
    for section, name in PATHS:
        check_unicode(config[section][name], f"{section}.{name}")
    truth = dataset.truth.names if dataset.truth is not None else ()
    for name in (*dataset.inputs.names, *truth):
        check_unicode(name, "the name of a picture")
    _check_targets(folder)
    if new:
        try_files(folder, dataset.inputs.names)


def _check_targets(folder: Path) -> None:
    """Refuses a folder where a file has the name of a run's folder, or the other way round."""
    for name in FOLDERS:
        if (folder / name).exists() and not (folder / name).is_dir():
            raise InputError(
                f"--workdir: a run has a folder at {folder / name}, but there is a file; rename "
                "that file or take another --workdir"
            )
    for name in (*FILES, REPORT):
        if (folder / name).is_dir():
            raise InputError(
                f"--workdir: a run writes a file at {folder / name}, but there is a folder; rename "
                "that folder or take another --workdir"
            )


def try_files(folder: Path, views: Sequence[str] = ()) -> None:
    """Writes a small checkpoint, picture and video in a run's folder, and reads them back.

    They go through the libraries that write the real ones. A path that one of them does not take
    would cost the whole training.

    Args:
      folder: folder of the run; what was written is removed again.
      views: the names of the input views, if they are known.

    Raises:
      StorageError, MissingExtra: see `try_workdir`.
    """
    longest = max(views, key=lambda name: len(name.encode()), default="")
    pixels = np.zeros((16, 16, 3), np.float32)
    try:
        with temporary(folder) as home:
            home.mkdir()
            _try_checkpoint(home / "checkpoints")
            picture = home / file_name(f"{LONGEST_PREFIX}{longest}", ".png")
            write_png(picture, pixels)
            read_picture(picture)
            write_mp4(home / "turntable.mp4", [pixels])
            read_frames(home / "turntable.mp4", 1)
    except (OSError, InputError) as error:
        if not is_expected(error):
            raise
        raise StorageError(
            f"--workdir: files in {folder} cannot be written and read back ({describe(error)}); "
            "make room or rights, or take another folder, with plain letters in its path"
        ) from error


def _try_checkpoint(folder: Path) -> None:
    numbers = np.arange(3, dtype=np.float32)
    state = TrainState(np.int32(1), {"w": numbers}, None, None)
    checkpoints = Checkpoints(folder, ("probe",))
    try:
        checkpoints.save("probe", state)
        found = checkpoints.restore("probe", 1, state)
    finally:
        checkpoints.close()
    if not np.array_equal(found.params["w"], numbers):
        raise StorageError("a checkpoint came back with other numbers")
