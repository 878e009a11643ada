"""The training loop over stages: dispatch, report, save, resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np

from jaxvsnerf.errors import Interrupted, NonFiniteLoss
from jaxvsnerf.training.ahead import Begin, Job, trace_stage
from jaxvsnerf.training.batch import Scene, rays_per_device, stream
from jaxvsnerf.training.checkpoints import Checkpoints
from jaxvsnerf.training.processes import anywhere, from_first, is_first, together
from jaxvsnerf.training.saving import Saver
from jaxvsnerf.training.stages import StageSpec
from jaxvsnerf.training.step import NO_STEP, StepMetrics, place
from jaxvsnerf.training.trainer import Trainer
from jaxvsnerf.types import TrainState


@dataclass(frozen=True)
class Progress:
    """One report of the loop; loss, psnr and speed are averages since the previous report.

    Attributes:
      stage: name of the stage.
      step: steps done in the stage.
      steps: total steps of the stage.
      loss: mean loss.
      psnr: PSNR in dB of the mean squared error on the training rays.
      rays_per_s: training rays per second.
      seconds: time since the previous report, in seconds.
      report_steps: steps since the previous report.
    """

    stage: str
    step: int
    steps: int
    loss: float
    psnr: float
    rays_per_s: float
    seconds: float
    report_steps: int


def run_stage(
    trainer: Trainer,
    stage: StageSpec,
    steps_fn: Callable,
    state: TrainState,
    scene: Scene,
    saver: Saver,
    report: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> TrainState:
    """Trains one stage from a state to the stage's last step.

    Args:
      trainer: the run.
      stage: the stage to train.
      steps_fn: compiled train step of the stage, see `make_train_steps`.
      state: initial or resumed state of the stage.
      scene: training data, on the devices.
      saver: writes checkpoints; used in the first process only.
      report: called after every dispatch, in the first process.
      stop: returns whether to save and stop; any process may return True.

    Returns:
      The state after the last step.

    Raises:
      NonFiniteLoss: the loss became NaN or infinite; names stage, step and last good checkpoint.
      Interrupted: `stop` returned True; the state was saved.
    """
    devices = trainer.devices
    key = place(stream(trainer.key(), stage.name), devices)
    state = place(state, devices)
    step = int(state.step)
    num_views = trainer.field.spec.num_views
    rays = rays_per_device(stage, num_views, len(devices)) * num_views * len(devices)
    while step < stage.steps:
        every = trainer.loop.report_every
        count = min(every - step % every, stage.steps - step)
        started = time.perf_counter()
        state, sums = steps_fn(state, scene, key, count)
        sums = jax.device_get(sums)
        seconds = time.perf_counter() - started
        step += count
        progress = _progress(stage, step, count, sums, rays, seconds)
        stopping = anywhere(stop()) and step < stage.steps
        due = step % trainer.loop.checkpoint_every < count or step == stage.steps
        with together():
            if is_first():
                _check_finite(sums, stage, saver)
                report(progress)
                if due or stopping:
                    saver.save(stage.name, state)
        if stopping:
            _settle(saver)
            raise Interrupted(f"stopped at step {step} of {stage.name}; saved")
    return state


def _progress(
    stage: StageSpec, step: int, count: int, sums: StepMetrics, rays: int, seconds: float
) -> Progress:
    """Progress after a dispatch of `count` steps of `rays` rays each, which ended at `step`."""
    mse = float(sums.mse) / count
    return Progress(
        stage=stage.name,
        step=step,
        steps=stage.steps,
        loss=float(sums.loss) / count,
        psnr=-10.0 * math.log10(max(mse, 1e-12)),
        rays_per_s=rays * count / seconds,
        seconds=seconds,
        report_steps=count,
    )


def _settle(saver: Saver) -> None:
    """Waits until the first process has written all pending checkpoints."""
    with together():
        if is_first():
            saver.wait()


def _check_finite(sums: StepMetrics, stage: StageSpec, saver: Saver) -> None:
    if sums.bad_step != NO_STEP:
        raise NonFiniteLoss(
            f"the loss was not finite at step {int(sums.bad_step)} of {stage.name}; last good "
            f"checkpoint: {saver.last()}. Lower {stage.name}.lr_init, or set "
            "field.dtype='float32', and start again in a new workdir"
        )


def _newest(
    trainer: Trainer, checkpoints: Checkpoints, resumed: Callable[[str, int], None]
) -> tuple[str, TrainState] | None:
    """Reads the newest checkpoint in the first process and sends stage and state to all."""
    with together():
        found = checkpoints.restore_newest(trainer.template) if is_first() else None
        if is_first():
            resumed(found[0] if found else "", int(found[1].step) if found else 0)
    names = [stage.name for stage in trainer.stages]
    index = int(from_first(np.int32(names.index(found[0]) if found else -1)))
    if index < 0:
        return None
    state = found[1] if found else trainer.empty_state(names[index])
    return names[index], from_first(state)


def run_stages(
    trainer: Trainer,
    scene: Scene,
    checkpoints: Checkpoints,
    report: Callable[[Progress], None],
    stop: Callable[[], bool],
    resumed: Callable[[str, int], None],
    begin: Begin,
    later: Sequence[Job] = (),
) -> None:
    """Trains all stages, continuing from the newest checkpoint.

    Args:
      trainer: the run.
      scene: training data, on the devices.
      checkpoints: checkpoints of the run; only the first process uses them.
      report: called after every dispatch, in the first process.
      stop: returns whether to save and stop; any process may return True.
      resumed: called once in the first process with the (stage, step) that training continues
        from, ("", 0) without a checkpoint.
      begin: compiles in the background, see `compiling_ahead`.
      later: jobs whose programs are needed after training.

    Raises:
      NonFiniteLoss, Interrupted: see `run_stage`.
      StorageError, BrokenCheckpoint, InputError: see `Checkpoints.save` and `restore_newest`.
    """
    found = _newest(trainer, checkpoints, resumed)
    stage_name, state = found or ("", None)
    names = [stage.name for stage in trainer.stages]
    first = names.index(stage_name) if found else 0
    underway = found is not None
    if underway and int(state.step) == trainer.stages[first].steps:
        first, underway = first + 1, False
    remaining = trainer.stages[first:]
    programs = {
        stage.name: begin(partial(trace_stage, trainer, stage, scene)) for stage in remaining
    }
    for job in later:
        begin(job)
    with Saver(checkpoints) as saver:
        for stage in remaining:
            # First, since the program of the initial state is traced by the same job.
            steps_fn = programs[stage.name]()
            if not underway:
                state = from_first(trainer.initial_state(stage, state))
            underway = False
            state = run_stage(trainer, stage, steps_fn, state, scene, saver, report, stop)
            if anywhere(stop()):
                _settle(saver)
                raise Interrupted(f"stopped at the end of {stage.name}; saved")
        _settle(saver)
