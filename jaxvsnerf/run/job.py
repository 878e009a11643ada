"""Runs the whole job: trains all stages, then scores, renders and exports."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxvsnerf import __version__
from jaxvsnerf.config import resolve
from jaxvsnerf.config.files import to_plain
from jaxvsnerf.diagnose.silhouettes import mask_facts
from jaxvsnerf.preprocess.photo_view import all_cameras
from jaxvsnerf.preprocess.prepare import Record, record_facts, save_record, trained_views
from jaxvsnerf.run import assemble
from jaxvsnerf.run.bound import check_pictures
from jaxvsnerf.run.check import keep_remarks, picture_remarks
from jaxvsnerf.run.dataset import load_pictures
from jaxvsnerf.run.door import check_run
from jaxvsnerf.run.events import EventFiles
from jaxvsnerf.run.finish import finish_run
from jaxvsnerf.run.logs import MetricsLog, logged
from jaxvsnerf.run.prints import dataset_prints
from jaxvsnerf.run.probe import try_workdir
from jaxvsnerf.run.references import References
from jaxvsnerf.run.reporter import Reporter
from jaxvsnerf.run.scene_file import SavedScene, has_scene, load_scene, save_scene
from jaxvsnerf.run.usage import Usage, save_usage, usage_facts
from jaxvsnerf.run.workdir import kept_config, locked, open_workdir, save_config
from jaxvsnerf.system import cli
from jaxvsnerf.system.extras import check_extras
from jaxvsnerf.system.measure import peak_memory, timed
from jaxvsnerf.system.paths import user_path
from jaxvsnerf.system.signals import stop_signal
from jaxvsnerf.training.ahead import Begin, Job, compiling_ahead
from jaxvsnerf.training.checkpoints import Checkpoints, load_storage
from jaxvsnerf.training.loop import run_stages
from jaxvsnerf.training.processes import check_same, connected, is_first, leave, together
from jaxvsnerf.training.trainer import Trainer
from jaxvsnerf.types import Dataset


def train_run(
    config: ConfigDict,
    workdir: str,
    *,
    devices: Sequence[jax.Device] | None = None,
    say: Callable[..., None] = cli.say,
    stop: Callable[[], bool] | None = None,
    started: float | None = None,
) -> dict[str, float]:
    """Trains all stages of a run, then evaluates, renders, exports and reports.

    With several processes all of them train. The first process alone writes files and does the
    work after training.

    Args:
      config: the settings of the run, see `default_config`.
      workdir: folder of the run; created if missing, and continued if a run has begun there.
      started: `time.perf_counter()` of the command's start; the time to the first step counts
        from here. None means now.
      devices: local devices that share the training; None takes all. The work after training
        uses JAX's default device.
      say: takes the lines to show, as `cli.say` does.
      stop: tells during training whether to save and stop; None stops on SIGTERM and SIGINT.

    Returns:
      Seconds of each phase: load, train, evaluate, render, export (beside render), report.

    Raises:
      InputError, MissingFile, MissingExtra: the input is wrong; no file was written.
      NonFiniteLoss, Interrupted, OSError: see `training.loop`; saved files stay.
      OtherProcessFailed: another process failed with one of these errors.
    """
    started = time.perf_counter() if started is None else started
    folder, seconds, asked = user_path(workdir), {}, config
    with contextlib.ExitStack() as held:
        with timed(seconds, "load"):
            with together(), ThreadPoolExecutor() as pool:
                check_run(asked)
                begun = kept_config(folder, asked) if workdir else None
                scene = load_scene(folder) if begun and has_scene(folder) else None
                config, dataset, record, trainer, references, remarks = _prepare(
                    begun or asked, folder, scene, devices, pool
                )
            check_same(_fingerprint(config, dataset))
        with together():
            if is_first():
                held.enter_context(locked(open_workdir(workdir)))
                try_workdir(folder, config, dataset, new=begun is None)
                save_config(folder, asked, config)
                save_scene(folder, dataset)
                save_record(folder, record)
                if not scene:
                    keep_remarks(folder, [*dataset.inputs.notes, *remarks])
                say = held.enter_context(logged(folder, say))
                _describe(dataset, record, trainer, remarks, say)
        events = _open_events(config, folder, trainer, held)
        with timed(seconds, "train"), connected():
            begin = held.enter_context(compiling_ahead())
            later = assemble.later_programs(config, trainer, dataset, references.perceptual)
            first_step = _train(config, folder, dataset, trainer, begin, later, say, stop, events)
        leave()  # what follows takes minutes, and the first process alone
        if is_first():
            usage = None
            if first_step is not None:
                own = [device for device in jax.local_devices() if device in trainer.devices]
                usage = Usage(first_step - started, peak_memory(own), seconds)
            _finish(folder, dataset, references, seconds, usage, say, events)
    return seconds


def _finish(
    folder: Path,
    dataset: Dataset,
    references: References,
    seconds: dict[str, float],
    usage: Usage | None,
    say: Callable[..., None],
    events: EventFiles | None,
) -> None:
    """Finishes a trained run; keeps what it used, and says how long it took."""
    took = ""
    if usage:
        save_usage(folder, usage)
        took = ", ".join(" ".join(fact) for fact in usage_facts(usage).items())
    trained = time.perf_counter()
    finish_run(folder, dataset, references, seconds, say, events)
    if usage:  # with the seconds of what followed
        save_usage(folder, usage)
    say(
        f"trained in {seconds['load'] + seconds['train']:.0f} s{took and f' ({took})'}, "
        f"evaluated and exported in {time.perf_counter() - trained:.0f} s: "
        f"{folder / 'report.html'}"
    )


def _open_events(
    config: ConfigDict, folder: Path, trainer: Trainer, held: contextlib.ExitStack
) -> EventFiles | None:
    """Opens the files for TensorBoard until `held` closes; None if the config asks for none."""
    if not config.loop.tensorboard:
        return None
    steps = {stage.name: stage.steps for stage in trainer.stages}
    return held.enter_context(contextlib.closing(EventFiles(folder, steps)))


def _prepare(
    config: ConfigDict,
    folder: Path,
    scene: SavedScene | None,
    devices: Sequence[jax.Device] | None,
    pool: Executor,
) -> tuple[ConfigDict, Dataset, Record, Trainer, References, list[str]]:
    """Loads pictures and builds the parts of a run; raises the errors of wrong input.

    Args:
      config: the settings, of the existing run if one goes on.
      folder: folder of the run.
      scene: what the existing run knows of its pictures, or None.
      devices: local devices that share the training; None takes all.
      pool: threads for what can be done beside reading.

    Returns:
      The resolved config, the pictures, the record of preprocessing, the trainer, the references
      of scoring, and warnings about the pictures.
    """
    # Starting a device and loading packages take seconds; pictures are read at the same time.
    awake = pool.submit(jax.device_put, 0)
    extras = pool.submit(check_extras)
    pool.submit(load_storage)
    config = resolve.resolve_config(config)
    dataset, record = load_pictures(config, scene.to_cube if scene else None)
    if scene:  # the pictures of an existing run were looked at when the run began
        doubt = check_pictures(folder, scene, dataset)
        looked = pool.submit(lambda: [doubt] if doubt else [])
    else:
        looked = pool.submit(picture_remarks, resolve.data_spec(config), dataset)
    references = assemble.load_references(config, dataset)
    awake.result()
    grid = assemble.make_grid(config, trained_views(dataset))
    num_views = len(all_cameras(dataset.inputs, dataset.photo).w2c)
    config = resolve.resolve_views(config, num_views)
    trainer = assemble.make_trainer(config, num_views, grid, devices)
    extras.result()
    return config, dataset, record, trainer, references, looked.result()


def _fingerprint(config: ConfigDict, dataset: Dataset) -> str:
    """Values that must be equal in all processes; the paths of the pictures may differ."""
    settings = to_plain(config)
    settings["data"].update(path="", truth="", mesh="", photo="")
    settings["metrics"].update(lpips="")
    cameras = dataset.inputs.cameras
    numbers = [np.round(one, 5).tolist() for one in (cameras.intrinsics, cameras.w2c)]
    return json.dumps([__version__, settings, dataset_prints(dataset), numbers], sort_keys=True)


def _describe(
    dataset: Dataset,
    record: Record,
    trainer: Trainer,
    remarks: Sequence[str],
    say: Callable[..., None],
) -> None:
    height, width = dataset.inputs.images.shape[1:3]
    truth = f", {len(dataset.truth.images)} truth views" if dataset.truth is not None else ""
    processes = f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
    masks = mask_facts(dataset.inputs)
    known = dataset.inputs.masks is not None
    say(
        f"{len(dataset.inputs.images)} views of {width}x{height}{truth}; "
        f"{f'{masks}; ' if known else ''}"
        f"{len(trainer.devices)} {trainer.devices[0].platform} device(s){processes}, "
        f"{trainer.field.spec.dtype} products"
    )
    if not known:
        say(masks)
    for line in [*dataset.inputs.notes, *remarks]:
        say(line)
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
    """Trains the remaining stages; returns the time the first dispatch finished, or None."""
    names = tuple(stage.name for stage in trainer.stages)
    reporter = Reporter(MetricsLog(folder, names), say, events)
    checkpoints = Checkpoints(folder / "checkpoints", names)
    scene = assemble.make_scene(config, trained_views(dataset), trainer.devices, dataset.photo)
    asked = contextlib.nullcontext(stop) if stop else stop_signal()
    with asked as stop, contextlib.closing(checkpoints):
        run_stages(trainer, scene, checkpoints, reporter, stop, reporter.resumed, begin, later)
    return reporter.first_step
