"""Writes TensorBoard's event files of a run with tensorboardX, without TensorFlow.

`tensorboard --logdir=DIR/tensorboard` shows the stages of a run one after the other in one chart,
and the scores as a curve over the stages.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from jaxvsnerf.system.extras import require
from jaxvsnerf.system.files import naming

FOLDER = "tensorboard"
EVALUATION = "evaluation"
FLUSH_SECONDS = 10


def check_installed() -> ModuleType:
    """Imports tensorboardX; raises MissingExtra with the pip line if it is absent."""
    return require(
        "tensorboardX", "loop.tensorboard", pip_line="pip install 'jaxvsnerf[tensorboard]'"
    )


class _Writer:
    """An event file of one subfolder. Older events from step `first` on become void.

    Choice: not tensorboardX's SummaryWriter, whose thread ends where a disk is full, with a
    traceback, and whose queue then waits for ever.
    """

    def __init__(self, folder: Path, first: int):
        check_installed()
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2

        self.folder, self._event = folder, event_pb2.Event
        self._flushed = -float("inf")
        folder.mkdir(parents=True, exist_ok=True)
        with naming(folder):
            self._file = EventsWriter(str(folder / "events"))
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(step=first, file_version="brain.Event:2")
        self._write(step=first, session_log=start)

    def scalar(self, name: str, value: float, step: int) -> None:
        """Adds a number to a chart."""
        from tensorboardX import summary

        self._write(step=step, summary=summary.scalar(name, value))

    def picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Adds a picture [H, W, 3] in [0, 1]."""
        from tensorboardX import summary

        image = summary.image(name, np.asarray(picture), dataformats="HWC")
        self._write(step=step, summary=image)

    def _write(self, **event: Any) -> None:
        with naming(self.folder):
            self._file.write_event(self._event(wall_time=time.time(), **event))
            if time.monotonic() - self._flushed > FLUSH_SECONDS:
                self._file.flush()
                self._flushed = time.monotonic()

    def close(self) -> None:
        """Writes what is pending and closes the file."""
        with naming(self.folder):
            self._file.close()


class EventFiles:
    """Event files under `folder`/tensorboard: a subfolder for each stage, and `evaluation`.

    Steps count over all stages. A resumed run trains some steps again; earlier events of these
    steps are marked as void, and readers drop them. Call `close` when done. An error of writing
    names the subfolder.

    Args:
      folder: folder of the run.
      steps: stage name -> number of steps, in order.
    """

    def __init__(self, folder: Path, steps: Mapping[str, int]):
        self.folder = Path(folder) / FOLDER
        ends = list(accumulate(steps.values()))
        self._ends = dict(zip(steps, ends, strict=True))
        self._begins = dict(zip(steps, [0, *ends], strict=False))
        self._writers: dict[str, _Writer] = {}

    def _writer(self, run: str, first: int) -> _Writer:
        """Returns the writer of a subfolder; older events from step `first` on become void."""
        if run not in self._writers:
            self._writers[run] = _Writer(self.folder / run, first)
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
            writer.scalar(name, value, reached)

    def scores(self, stages: Mapping[str, Mapping[str, float]]) -> None:
        """Adds the scores of each stage at its last step; older scores become void."""
        for stage, values in stages.items():
            for name, value in values.items():
                self._writer(EVALUATION, 0).scalar(f"score/{name}", value, self._ends[stage])

    def pictures(self, pictures: Mapping[str, np.ndarray]) -> None:
        """Adds pictures [H, W, 3] in [0, 1] at the last step; older pictures become void."""
        for name, picture in pictures.items():
            self._writer(EVALUATION, 0).picture(name, picture, max(self._ends.values()))

    def close(self) -> None:
        """Writes all pending events and closes the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
