"""Reads the checkpoints and fields of a run that may still be training."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.run import assemble
from jaxvsnerf.run.saved import open_saved
from jaxvsnerf.training.checkpoints import BrokenCheckpoint, Checkpoints
from jaxvsnerf.training.step import stage_context


class Saved(NamedTuple):
    """Identity of a checkpoint.

    Attributes:
      stage: name of the stage.
      step: steps done in the stage.
    """

    stage: str
    step: int


class LiveRun:
    """Checkpoints of a run that another process may be training.

    The training process holds the run's lock; this class takes no lock and writes nothing.

    Args:
      folder: folder of the run, with its settings and scene files.

    Raises:
      FileNotFoundError: the run has not started.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.config, self.trainer, self.scene = open_saved(self.folder)
        self.stages = {stage.name: stage for stage in self.trainer.stages}

    def saved(self) -> list[Saved]:
        """Newest checkpoint of every stage that has a checkpoint, in the order of the stages."""
        found = []
        for stage in self.stages:
            # Lists the folder each time: a checkpoint manager caches its first listing. Names of
            # unfinished checkpoints are not plain numbers.
            names = [path.name for path in (self.folder / "checkpoints" / stage).glob("*")]
            if steps := [int(name) for name in names if name.isdecimal()]:
                found.append(Saved(stage, max(steps)))
        return found

    def load(self, saved: Saved) -> TrainedField | None:
        """Loads the field of a checkpoint; None if the checkpoint is gone or cannot be read.

        A run keeps the last two checkpoints of a stage, so that a reader has the time between
        two checkpoints to read one.
        """
        checkpoints = Checkpoints(self.folder / "checkpoints", tuple(self.stages))
        template = self.trainer.template(saved.stage)
        with contextlib.closing(checkpoints):
            try:
                state = checkpoints.restore(saved.stage, saved.step, template)
            except BrokenCheckpoint:
                return None
        stage = self.stages[saved.stage]
        state = jax.device_put(state)
        field = assemble.trained_field(
            self.config,
            self.trainer,
            stage,
            state,
            self.scene.cameras,
            self.scene.background,
            photo=self.scene.photo,
        )
        if saved.step == stage.steps:
            return field
        return replace(field, context=stage_context(field.context, stage, np.int32(saved.step)))
