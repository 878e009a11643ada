"""Writes TensorBoard's event files of a run with tensorboardX, without TensorFlow.

`tensorboard --logdir=DIR/tensorboard` shows the stages of a run one after the other in one chart,
and the scores as a curve over the stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from types import ModuleType

import numpy as np

from jaxvsnerf.system.extras import require

FOLDER = "tensorboard"
EVALUATION = "evaluation"
FLUSH_SECONDS = 10


def check_installed() -> ModuleType:
    """Imports tensorboardX; raises MissingExtra with the pip line if it is absent."""
    return require(
        "tensorboardX", "loop.tensorboard", pip_line="pip install 'jaxvsnerf[tensorboard]'"
    )


class EventFiles:
    """Event files under `folder`/tensorboard: a subfolder for each stage, and `evaluation`.

    Steps count over all stages. A resumed run trains some steps again; earlier events of these
    steps are marked as void, and readers drop them. Call `close` when done.

    Args:
      folder: folder of the run.
      steps: stage name -> number of steps, in order.
    """

    def __init__(self, folder: Path, steps: Mapping[str, int]):
        self.folder = Path(folder) / FOLDER
        ends = list(accumulate(steps.values()))
        self._ends = dict(zip(steps, ends, strict=True))
        self._begins = dict(zip(steps, [0, *ends], strict=False))
        self._writers: dict[str, object] = {}

    def _writer(self, run: str, first: int):
        """Returns the writer of a subfolder; older events from step `first` on become void."""
        if run not in self._writers:
            self._writers[run] = check_installed().SummaryWriter(
                str(self.folder / run), purge_step=first, flush_secs=FLUSH_SECONDS
            )
        return self._writers[run]

    def report(self, stage: str, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Adds numbers of a stage.

        Args:
          stage: name of the stage.
          step: steps done in the stage.
          steps: number of last steps that the numbers summarise.
          values: chart -> number.
        """
        reached = self._begins[stage] + step
        writer = self._writer(stage, reached - steps + 1)
        for name, value in values.items():
            writer.add_scalar(name, value, reached)

    def scores(self, stages: Mapping[str, Mapping[str, float]]) -> None:
        """Adds the scores of each stage at its last step; older scores become void."""
        for stage, values in stages.items():
            for name, value in values.items():
                self._writer(EVALUATION, 0).add_scalar(f"score/{name}", value, self._ends[stage])

    def pictures(self, pictures: Mapping[str, np.ndarray]) -> None:
        """Adds pictures [H, W, 3] in [0, 1] at the last step; older pictures become void."""
        for name, picture in pictures.items():
            self._writer(EVALUATION, 0).add_image(
                name, picture, max(self._ends.values()), dataformats="HWC"
            )

    def close(self) -> None:
        """Writes all pending events and closes the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
