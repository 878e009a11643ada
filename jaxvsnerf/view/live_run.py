"""A run while it trains: which checkpoints there are, and their fields. It is only read."""

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
    """A checkpoint.

    Attributes:
      stage: its stage.
      step: steps done in it.
    """

    stage: str
    step: int


class LiveRun:
    """The checkpoints of a run that another process may be training.

    The run's lock is that process's: nothing here takes it, and nothing is written.

    Args:
      folder: of the run; its config.json and scene.json are there.

    Raises:
      FileNotFoundError: the run has not started.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.config, self.trainer, self.cameras, self.background = open_saved(self.folder)
        self.stages = {stage.name: stage for stage in self.trainer.stages}

    def saved(self) -> list[Saved]:
        """The newest checkpoint of every stage that has one, in the order of the stages."""
        found = []
        for stage in self.stages:
            # Looked up in the folder each time: a manager remembers what it saw first. One
            # that is being written has another name than its step.
            names = [path.name for path in (self.folder / "checkpoints" / stage).glob("*")]
            if steps := [int(name) for name in names if name.isdecimal()]:
                found.append(Saved(stage, max(steps)))
        return found

    def load(self, saved: Saved) -> TrainedField | None:
        """The field of a checkpoint, None where it is gone or cannot be read.

        A run keeps the last two checkpoints of a stage, so that a reader has the time between
        two to read one.
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
            self.config, self.trainer, stage, state, self.cameras, self.background
        )
        if saved.step == stage.steps:
            return field
        return replace(field, context=stage_context(field.context, stage, np.int32(saved.step)))
