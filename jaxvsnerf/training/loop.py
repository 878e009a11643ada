"""Runs the stages: dispatch, watch, save, resume."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import jax
import numpy as np

from jaxvsnerf.fields.build import Field
from jaxvsnerf.rendering.plan import memory_budget, micro_batches
from jaxvsnerf.training.batch import Scene, StepSpec, rays_per_device, stream
from jaxvsnerf.training.checkpoints import Checkpoints
from jaxvsnerf.training.processes import anywhere, from_first, is_first, most, together
from jaxvsnerf.training.saving import Saver
from jaxvsnerf.training.stages import StageSpec, promote
from jaxvsnerf.training.step import NO_STEP, StepMetrics, init_state, make_train_steps, place
from jaxvsnerf.types import Array, TrainState

# On so many cores programs compile two at a time: one keeps four or so busy, and tracing them
# is Python, of which only one thread runs.
CORES_FOR_TWO = 8


@dataclass(frozen=True)
class Progress:
    """One report of the loop; loss and psnr are means since the report before.

    Attributes:
      stage: name.
      step: steps done in the stage.
      steps: steps of the stage.
      loss: mean loss.
      psnr: of the mean squared error on the training rays, in dB.
      rays_per_s: rays per second since the report before.
      seconds: time since it, in seconds.
      compiled: whether compilation is in that time.
      report_steps: steps in that time.
    """

    stage: str
    step: int
    steps: int
    loss: float
    psnr: float
    rays_per_s: float
    seconds: float
    compiled: bool
    report_steps: int


@dataclass(frozen=True)
class LoopSpec:
    """Cadence, in steps of a stage.

    Attributes:
      report_every: steps per dispatch and report.
      checkpoint_every: steps between two checkpoints; the end of a stage is always one.
    """

    report_every: int
    checkpoint_every: int

    def __post_init__(self):
        if self.report_every < 1 or self.checkpoint_every < 1:
            raise ValueError(
                f"loop: expected report_every and checkpoint_every of at least 1, "
                f"got {self.report_every} and {self.checkpoint_every}"
            )


class NonFiniteLoss(ArithmeticError):
    """The loss was NaN or infinite; the state that led to it is not saved."""


class Interrupted(Exception):
    """The run was asked to stop; its state is saved."""


@cache  # runs of the same shape in one process share what was compiled
def _make_start(field: Field, stage: StageSpec) -> Callable[..., TrainState]:
    """(params or None, sampler, key) -> the state that `stage` starts from."""

    @jax.jit  # one small program instead of dozens of single operations
    def start(params, sampler, key) -> TrainState:
        params = field.init(key, 1) if params is None else params
        params = promote(field, params, stage.mode, stream(key, "promote"))
        return init_state(stage, params, sampler)

    return start


@dataclass(frozen=True)
class Trainer:
    """All that does not change while a run trains.

    Attributes:
      field: the field.
      stages: in order.
      spec: of the step.
      loop: cadence.
      sampler: density grid the first stage starts from, or None.
      seed: of the run.
      devices: those that share a step, of all processes.
    """

    field: Field
    stages: tuple[StageSpec, ...]
    spec: StepSpec
    loop: LoopSpec
    sampler: object
    seed: int
    devices: tuple

    def key(self) -> Array:
        """The run's PRNG key; children are named streams."""
        return jax.random.key(self.seed)

    def micro_batches(self, stage: StageSpec) -> int:
        """Parts in which each device computes a step's gradient, so that it fits."""
        shape = self.field.spec
        local = rays_per_device(stage, shape.num_views, len(self.devices))
        samples, views = max(level.num for level in self.spec.levels), 1
        if stage.mode == "fused":
            samples, views = min(stage.combined or samples, samples), shape.num_views
        elements = local * shape.num_views * samples * views * shape.width
        return micro_batches(local, elements, memory_budget(jax.local_devices()[0]))

    def initial_state(self, stage: StageSpec, previous: TrainState | None) -> TrainState:
        """The state `stage` starts from, given the state the stage before ended with."""
        start = _make_start(self.field, stage)
        key = stream(self.key(), f"init/{stage.name}")
        if previous is None:
            return start(None, self.sampler, key)
        return start(previous.params, previous.sampler, key)

    def template(self, name: str) -> TrainState:
        """Shapes of the state of stage `name`."""

        def states() -> TrainState:
            state = None
            for stage in self.stages:
                state = self.initial_state(stage, state)
                if stage.name == name:
                    return state
            raise ValueError(f"expected a stage of the run, got {name!r}")

        return jax.eval_shape(states)


def compile_ahead(
    trainer: Trainer, stages: tuple[StageSpec, ...], scene: Scene, pool: Executor
) -> dict[str, Callable[[], Callable]]:
    """Compiles the steps of the stages, the later ones while the first trains.

    Only with one device: programs that talk between devices must not be started from
    several threads, so there each is compiled when it is wanted.

    Returns:
      stage name -> function that waits for its steps function, see `make_train_steps`.
    """

    def compile_stage(stage: StageSpec) -> Callable:
        devices = trainer.devices
        # One program runs in all processes, in parts that fit the memory of each.
        parts = most(trainer.micro_batches(stage))
        steps_fn = make_train_steps(trainer.field, stage, trainer.spec, devices, parts)
        template = trainer.template(stage.name)
        empty = jax.tree.map(_zeros, template)
        # No step is taken, the program is only made, with arguments placed as they will be.
        steps_fn(place(empty, devices), scene, place(trainer.key(), devices), 0)
        return steps_fn

    if len(trainer.devices) > 1:
        return {stage.name: partial(compile_stage, stage) for stage in stages}
    compiling = _on_this_device(compile_stage)
    return {stage.name: pool.submit(compiling, stage).result for stage in stages}


def _on_this_device(function: Callable) -> Callable:
    """The function, in any thread with the default device of the thread that is here.

    A thread does not inherit it, and what is compiled under another one would be compiled
    again.
    """
    default_device = jax.config.jax_default_device

    def call(*args):
        with jax.default_device(default_device):
            return function(*args)

    return call


def run_stage(
    trainer: Trainer,
    stage: StageSpec,
    program: Callable[[], Callable],
    state: TrainState,
    scene: Scene,
    saver: Saver,
    report: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> TrainState:
    """Trains one stage with its `program`, see `compile_ahead`, from `state` to its end.

    Raises:
      NonFiniteLoss: naming stage, step and last good checkpoint.
      Interrupted: `stop` said so; the state was saved.
    """
    devices = trainer.devices
    key = place(stream(trainer.key(), stage.name), devices)
    state = place(state, devices)
    step, compiled, steps_fn = int(state.step), True, None
    num_views = trainer.field.spec.num_views
    rays = rays_per_device(stage, num_views, len(devices)) * num_views * len(devices)
    while step < stage.steps:
        every = trainer.loop.report_every
        count = min(every - step % every, stage.steps - step)
        started = time.perf_counter()
        steps_fn = steps_fn or program()
        state, sums = steps_fn(state, scene, key, count)
        sums = jax.device_get(sums)
        seconds = time.perf_counter() - started
        step += count
        mse = float(sums.mse) / count
        progress = Progress(
            stage=stage.name,
            step=step,
            steps=stage.steps,
            loss=float(sums.loss) / count,
            psnr=-10.0 * math.log10(max(mse, 1e-12)),
            rays_per_s=rays * count / seconds,
            seconds=seconds,
            compiled=compiled,
            report_steps=count,
        )
        compiled = False
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


def _settle(saver: Saver) -> None:
    """Waits until the first process has written what there is to write."""
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
    """The newest checkpoint as the first process reads it, in all processes."""
    with together():
        found = checkpoints.restore_newest(trainer.template) if is_first() else None
        if is_first():
            resumed(found[0] if found else "", int(found[1].step) if found else 0)
    names = [stage.name for stage in trainer.stages]
    index = int(from_first(np.int32(names.index(found[0]) if found else -1)))
    if index < 0:
        return None
    state = found[1] if found else jax.tree.map(_zeros, trainer.template(names[index]))
    return names[index], from_first(state)


def _zeros(leaf) -> np.ndarray:
    return np.zeros(leaf.shape, leaf.dtype)


def run_stages(
    trainer: Trainer,
    scene: Scene,
    checkpoints: Checkpoints,
    report: Callable[[Progress], None],
    stop: Callable[[], bool],
    resumed: Callable[[str, int], None],
    meanwhile: Sequence[Callable[[], object]] = (),
) -> None:
    """Trains all stages, going on from the newest checkpoint.

    Args:
      trainer: the run.
      scene: on the devices.
      checkpoints: of the run; only the first process uses it.
      report: called after every dispatch, in the first process.
      stop: whether to save and stop; any process may say so.
      resumed: called once with (stage, step) the run goes on from, ("", 0) at the start; in
        the first process.
      meanwhile: called in threads while the stages train, after their compilation has
        begun; with several devices they are not called.

    Raises:
      NonFiniteLoss, Interrupted, OSError: see run_stage and Checkpoints.save.
    """
    found = _newest(trainer, checkpoints, resumed)
    stage_name, state = found or ("", None)
    names = [stage.name for stage in trainer.stages]
    first = names.index(stage_name) if found else 0
    underway = found is not None
    if underway and int(state.step) == trainer.stages[first].steps:
        first, underway = first + 1, False
    remaining = trainer.stages[first:]
    # The first stage need not wait for the others where cores are few.
    compilers = 2 if (os.cpu_count() or 1) >= CORES_FOR_TWO else 1
    with ThreadPoolExecutor(compilers) as pool, Saver(checkpoints) as saver:
        programs = compile_ahead(trainer, remaining, scene, pool)
        alone = len(trainer.devices) == 1
        aside = [pool.submit(_on_this_device(work)) for work in meanwhile if alone]
        try:
            for stage in remaining:
                if not underway:
                    state = from_first(trainer.initial_state(stage, state))
                underway = False
                program = programs[stage.name]
                state = run_stage(trainer, stage, program, state, scene, saver, report, stop)
                if anywhere(stop()):
                    _settle(saver)
                    raise Interrupted(f"stopped at the end of {stage.name}; saved")
            _settle(saver)
            for work in aside:
                work.result()
        except BaseException:  # what has not begun need not
            pool.shutdown(wait=False, cancel_futures=True)
            raise
