"""What a run saved, as fields again."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxvsnerf.config.files import load_config
from jaxvsnerf.errors import MissingFile
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.run import assemble
from jaxvsnerf.run.scene_file import load_scene
from jaxvsnerf.training.checkpoints import Checkpoints
from jaxvsnerf.training.trainer import Trainer
from jaxvsnerf.types import Cameras


def open_saved(folder: Path) -> tuple[ConfigDict, Trainer, Cameras, np.ndarray]:
    """What a run's checkpoints are read with: config, trainer, cameras, background."""
    config = load_config(folder / "config.json")
    cameras, background, _ = load_scene(folder)
    trainer = assemble.make_trainer(config, len(cameras.w2c), assemble.make_grid(config, None))
    return config, trainer, cameras, background


def load_stages(
    folder: Path, *, mode: str = "", last_only: bool = False
) -> dict[str, TrainedField]:
    """The trained field of every finished stage of a run, in order.

    Args:
      folder: the run's workdir.
      last_only: only the last one.
      mode: how views are combined; '' is each stage's own way.

    Raises:
      FileNotFoundError: nothing was trained there.
    """
    folder = Path(folder)
    config, trainer, cameras, background = open_saved(folder)
    checkpoints = Checkpoints(folder / "checkpoints", tuple(s.name for s in trainer.stages))
    stages: dict[str, TrainedField] = {}
    finished = [s for s in trainer.stages if s.steps in checkpoints.steps(s.name)]
    for stage in finished[-1:] if last_only else finished:
        state = checkpoints.restore(stage.name, stage.steps, trainer.template(stage.name))
        stages[stage.name] = assemble.trained_field(
            config, trainer, stage, jax.device_put(state), cameras, background, mode
        )
    checkpoints.close()
    if not stages:
        raise MissingFile(
            f"expected a finished stage in {folder / 'checkpoints'}, last checkpoint: none; "
            "train there first"
        )
    return stages
