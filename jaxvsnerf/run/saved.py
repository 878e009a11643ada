"""Loads the saved stages of a run as trained fields."""

from __future__ import annotations

from pathlib import Path

import jax
from ml_collections import ConfigDict

from jaxvsnerf.errors import MissingFile
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.run import assemble
from jaxvsnerf.run.scene_file import SavedScene, load_scene
from jaxvsnerf.run.workdir import load_settings
from jaxvsnerf.system.paths import user_path
from jaxvsnerf.training.checkpoints import BrokenCheckpoint, Checkpoints
from jaxvsnerf.training.trainer import Trainer


def open_saved(folder: Path) -> tuple[ConfigDict, Trainer, SavedScene]:
    """Opens a run for reading its checkpoints: config, trainer and scene."""
    config = load_settings(folder)
    scene, grid = load_scene(folder), assemble.make_grid(config, None)
    return config, assemble.make_trainer(config, len(scene.cameras.w2c), grid), scene


def load_stages(
    folder: Path, *, mode: str = "", last_only: bool = False
) -> dict[str, TrainedField]:
    """Loads the trained field of every finished stage of a run, in order.

    Args:
      folder: folder of the run.
      last_only: whether to load the last finished stage alone.
      mode: how views are combined; '' takes each stage's own mode.

    Raises:
      MissingFile: the folder has no finished stage.
      BrokenCheckpoint: the checkpoint of a stage is damaged; the message says what to do.
    """
    folder = user_path(folder)
    config, trainer, scene = open_saved(folder)
    checkpoints = Checkpoints(folder / "checkpoints", tuple(s.name for s in trainer.stages))
    stages: dict[str, TrainedField] = {}
    finished = [s for s in trainer.stages if s.steps in checkpoints.steps(s.name)]
    for stage in finished[-1:] if last_only else finished:
        try:
            state = checkpoints.restore(stage.name, stage.steps, trainer.template(stage.name))
        except BrokenCheckpoint as error:
            raise BrokenCheckpoint(f"{error}; {_remedy(stage is finished[-1])}") from error
        stages[stage.name] = assemble.trained_field(
            config,
            trainer,
            stage,
            jax.device_put(state),
            scene.cameras,
            scene.background,
            mode=mode,
            photo=scene.photo,
        )
    checkpoints.close()
    if not stages:
        raise MissingFile(
            f"expected a finished stage in {folder / 'checkpoints'}, last checkpoint: none; "
            "train there first"
        )
    return stages


def _remedy(last: bool) -> str:
    """What to do about a broken checkpoint, of the last finished stage or of one before."""
    if last:
        return "the command that trained the run goes on from the checkpoint before"
    return "move that folder away: the stage is then left out"
