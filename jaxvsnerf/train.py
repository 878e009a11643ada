"""Trains an object from contradicting pictures, then scores, renders and exports it.

    python -m jaxvsnerf.train --config=configs/X.py --workdir=DIR [--config.field=value]

The same command goes on where an interrupted run stopped. With --distributed, several
processes train one run: each gives the same command, the first one writes and prints.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import jax
from absl import flags
from ml_collections import ConfigDict

from jaxvsnerf import __version__, assemble, cli
from jaxvsnerf.config import to_plain
from jaxvsnerf.data.load import trained_views
from jaxvsnerf.data.photo_view import all_cameras
from jaxvsnerf.extras import check_extras
from jaxvsnerf.finish import finish_run
from jaxvsnerf.outputs.events import EventFiles
from jaxvsnerf.preprocess.prepare import Record, record_facts, save_record
from jaxvsnerf.references import References
from jaxvsnerf.scene_file import save_scene
from jaxvsnerf.training.ahead import Begin, Job, compiling_ahead
from jaxvsnerf.training.checkpoints import Checkpoints, load_storage
from jaxvsnerf.training.loop import Progress, run_stages
from jaxvsnerf.training.processes import check_same, connected, is_first, join, leave, together
from jaxvsnerf.training.trainer import Trainer
from jaxvsnerf.types import Dataset
from jaxvsnerf.usage import Usage, peak_memory, process_age, save_usage, timed, usage_facts
from jaxvsnerf.workdir import MetricsLog, locked, logged, open_workdir, save_config


@contextlib.contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Turns SIGTERM and SIGINT into a wish to stop after the current dispatch.

    Yields a function that says whether one came; a second one does not wait. Elsewhere
    than in the main thread, where no signal arrives, it says no.
    """
    asked = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number, frame):
        asked.append(number)
        signal.signal(number, before[number])

    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Reporter:
    """The progress line, metrics.jsonl and, where they are wanted, TensorBoard's events."""

    def __init__(self, log: MetricsLog, say: Callable[..., None], events: EventFiles | None):
        self.log = log
        self.events = events
        self.first_step: float | None = None  # when the first dispatch ended
        self.say = say

    def resumed(self, stage: str, step: int) -> None:
        """Drops what was logged after the checkpoint."""
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
        """Seconds left of the stage, at the pace of its last report."""
        return (progress.steps - progress.step) * progress.seconds / progress.report_steps


def train_run(
    config: ConfigDict,
    workdir: str,
    *,
    devices: Sequence[jax.Device] | None = None,
    say: Callable[..., None] = cli.say,
    stop: Callable[[], bool] | None = None,
    started: float | None = None,
) -> dict[str, float]:
    """The whole job: train all stages, evaluate, render, export, report.

    Args:
      config: as `default_config` has it.
      workdir: folder of the run; made, or gone on with.
      started: `time.perf_counter()` of the command's start, from which the time to the
        first step counts; None is now.
      devices: local devices that share the training; None is all of them. The rest of the
        work is done on JAX's default device.
      say: takes the lines to show, as `cli.say` does.
      stop: whether to save and stop, asked while it trains; None is when SIGTERM or SIGINT
        came.

    Of several processes all train; the first one alone writes, and does what follows.

    Returns:
      Seconds of each phase: load, train, evaluate, render, export beside it, report.

    Raises:
      ValueError, FileNotFoundError, ImportError: something given is wrong; nothing was
        written.
      NonFiniteLoss, Interrupted, OSError: see training.loop; what was saved stays.
      OtherProcessFailed: with any of these.
    """
    started = time.perf_counter() if started is None else started
    folder, seconds = Path(workdir), {}
    with contextlib.ExitStack() as held:
        with timed(seconds, "load"):
            with together(), ThreadPoolExecutor() as pool:
                config, dataset, record, trainer, references = _prepare(config, devices, pool)
            check_same(_fingerprint(config, dataset))
        with together():
            if is_first():
                held.enter_context(locked(open_workdir(workdir)))
                save_config(folder, config)
                save_scene(folder, dataset)
                save_record(folder, record)
                say = held.enter_context(logged(folder, say))
                _describe(dataset, record, trainer, say)
        events = None
        if config.loop.tensorboard:
            steps = {stage.name: stage.steps for stage in trainer.stages}
            events = held.enter_context(contextlib.closing(EventFiles(folder, steps)))
        with timed(seconds, "train"), connected():
            begin = held.enter_context(compiling_ahead())
            later = assemble.later_programs(config, trainer, dataset, references.perceptual)
            first_step = _train(config, folder, dataset, trainer, begin, later, say, stop, events)
        leave()  # what follows takes minutes, and the first process alone
        if not is_first():
            return seconds
        took, usage = "", None
        if first_step is not None:
            own = [device for device in jax.local_devices() if device in trainer.devices]
            usage = Usage(first_step - started, peak_memory(own), seconds)
            save_usage(folder, usage)
            took = ", ".join(" ".join(fact) for fact in usage_facts(usage).items())
        trained = time.perf_counter()
        finish_run(folder, dataset, references, seconds, say, events)
        if usage:
            save_usage(folder, usage)
        say(
            f"trained in {seconds['load'] + seconds['train']:.0f} s{took and f' ({took})'}, "
            f"evaluated and exported in {time.perf_counter() - trained:.0f} s: "
            f"{folder / 'report.html'}"
        )
    return seconds


def _prepare(
    config: ConfigDict, devices: Sequence[jax.Device] | None, pool: Executor
) -> tuple[ConfigDict, Dataset, Record, Trainer, References]:
    """Config, pictures, trainer and what scores take; whatever is wrong is found here."""
    # A device takes seconds to wake, and packages to load: meanwhile pictures are read.
    awake = pool.submit(jax.device_put, 0)
    extras = pool.submit(check_extras)
    pool.submit(load_storage)
    config = assemble.resolve_config(config)
    assemble.check_outputs(config)
    dataset, record = assemble.load_pictures(config)
    references = assemble.load_references(config, dataset)
    awake.result()
    grid = assemble.make_grid(config, trained_views(dataset))
    cameras = all_cameras(dataset.inputs, dataset.photo)
    trainer = assemble.make_trainer(config, len(cameras.w2c), grid, devices)
    extras.result()
    return config, dataset, record, trainer, references


def _fingerprint(config: ConfigDict, dataset: Dataset) -> str:
    """What must be the same in all processes; the pictures may lie elsewhere."""
    settings = to_plain(config)
    settings["data"].update(path="", truth="", mesh="", photo="")
    settings["metrics"].update(lpips="")
    shape = dataset.inputs.images.shape
    return json.dumps([__version__, settings, shape], sort_keys=True)


def _describe(dataset: Dataset, record: Record, trainer: Trainer, say: Callable[..., None]) -> None:
    height, width = dataset.inputs.images.shape[1:3]
    truth = f", {len(dataset.truth.images)} truth views" if dataset.truth is not None else ""
    processes = f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
    say(
        f"{len(dataset.inputs.images)} views of {width}x{height}{truth}; "
        f"{len(trainer.devices)} {trainer.devices[0].platform} device(s){processes}, "
        f"{trainer.field.spec.dtype} products"
    )
    if record:
        facts = record_facts(record, dataset.inputs.names)
        say("; ".join(f"{name}: {text}" for name, text in facts.items()))
    if photo := dataset.photo:
        size = f"{photo.view.cameras.width}x{photo.view.cameras.height}"
        say(f"the photo, {size}, is one more view: outlines overlap by {photo.overlap:.2f}")
        if photo.best_overlap > photo.overlap:
            say(
                f"an elevation of {photo.best_deg:g} degrees would fit better "
                f"({photo.best_overlap:.2f}): is data.input_elevation_deg right?"
            )


def _train(
    config: ConfigDict,
    folder: Path,
    dataset: Dataset,
    trainer: Trainer,
    begin: Begin,
    later: Sequence[Job],
    say: Callable[..., None],
    stop: Callable[[], bool] | None,
    events: EventFiles | None,
) -> float | None:
    """Trains what is left to train; when the first dispatch ended, None without any."""
    names = tuple(stage.name for stage in trainer.stages)
    reporter = _Reporter(MetricsLog(folder, names), say, events)
    checkpoints = Checkpoints(folder / "checkpoints", names)
    scene = assemble.make_scene(config, trained_views(dataset), trainer.devices, dataset.photo)
    asked = contextlib.nullcontext(stop) if stop else stop_signal()
    with asked as stop, contextlib.closing(checkpoints):
        run_stages(trainer, scene, checkpoints, reporter, stop, reporter.resumed, begin, later)
    return reporter.first_step


def main() -> None:
    """The command."""
    config = cli.define_config()
    workdir = cli.define_workdir()
    distributed = flags.DEFINE_bool("distributed", False, "One of several processes of a run.")

    def command(_) -> None:
        value = cli.config_value(config)
        if distributed.value:
            join(os.environ)
        train_run(value, workdir.value, started=time.perf_counter() - process_age())

    cli.run(command)


if __name__ == "__main__":
    main()
