"""Reports the progress of a training: progress line, log and event files."""

from __future__ import annotations

import time
from collections.abc import Callable

from jaxvsnerf.run.events import EventFiles
from jaxvsnerf.run.logs import MetricsLog
from jaxvsnerf.training.loop import Progress


class Reporter:
    """Writes the progress line, metrics.jsonl and, if asked for, TensorBoard's events."""

    def __init__(self, log: MetricsLog, say: Callable[..., None], events: EventFiles | None):
        self.log = log
        self.events = events
        self.first_step: float | None = None  # when the first dispatch ended
        self.say = say

    def resumed(self, stage: str, step: int) -> None:
        """Drops all log entries after the checkpoint."""
        self.log.rewind(stage, step)
        if stage:
            self.say(f"going on from {stage} step {step}")
        self.say("compiling ...", passing=True)

    def __call__(self, progress: Progress) -> None:
        self.first_step = self.first_step or time.perf_counter()
        row = {
            name: getattr(progress, name) for name in ("stage", "step", "loss", "psnr", "seconds")
        }
        self.log.append(row)
        if self.events:
            shown = {name: getattr(progress, name) for name in ("loss", "psnr", "rays_per_s")}
            self.events.report(progress.stage, progress.step, progress.report_steps, shown)
        line = (
            f"{progress.stage} {progress.step:5d}/{progress.steps}  loss {progress.loss:.4f}  "
            f"psnr {progress.psnr:5.2f}  {progress.rays_per_s / 1e3:7.1f} k rays/s  "
            f"{self._left(progress):.0f} s left"
        )
        self.say(line, done=progress.step / progress.steps)

    def _left(self, progress: Progress) -> float:
        """Estimated remaining seconds of the stage, at the speed of the last report."""
        return (progress.steps - progress.step) * progress.seconds / progress.report_steps
