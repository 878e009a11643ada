"""Compiles what a run will need while it trains."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import jax

from jaxvsnerf.rendering.program import Program, on_this_device
from jaxvsnerf.training.batch import Scene
from jaxvsnerf.training.processes import most
from jaxvsnerf.training.stages import StageSpec
from jaxvsnerf.training.step import make_train_steps, place
from jaxvsnerf.training.trainer import Trainer

# Cores that the compilation of one program keeps busy.
CORES_PER_PROGRAM = 4

# Traces something; the function it returns compiles that.
Job = Callable[[], Callable[[], Any]]


def trace_stage(trainer: Trainer, stage: StageSpec, scene: Scene) -> Callable[[], Program]:
    """Traces the start and the step of a stage.

    Returns:
      What compiles them and returns the step, see `make_train_steps`.
    """
    devices = trainer.devices
    # One program runs in all processes, in parts that fit the memory of each.
    parts = most(trainer.micro_batches(stage))
    steps = make_train_steps(trainer.field, stage, trainer.spec, devices, parts)
    # Arguments are placed as they will be.
    empty = place(trainer.empty_state(stage.name), devices)
    compile_steps = steps.trace(empty, scene, place(trainer.key(), devices), 0)
    compile_start = trainer.trace_start(stage)

    def compile_both() -> Program:
        compile_steps()
        compile_start()
        return steps

    return compile_both


@contextlib.contextmanager
def compiled_ahead(
    trainer: Trainer, stages: Sequence[StageSpec], scene: Scene, later: Sequence[Job]
) -> Iterator[dict[str, Callable[[], Program]]]:
    """Compiles in threads the steps of the stages, then what comes later.

    One thread traces them all in order, since tracing is Python, and others compile. With
    several processes, which must ask each other in the same order, each stage is compiled
    when it is wanted, and nothing later is.

    Args:
      trainer: the run.
      stages: those that are left.
      scene: on the devices.
      later: jobs that follow the stages; their errors are raised when the block has ended.

    Yields:
      stage name -> function that waits for its steps, see `make_train_steps`.
    """
    if jax.process_count() > 1:
        yield {stage.name: lambda s=stage: trace_stage(trainer, s, scene)() for stage in stages}
        return
    compilers = max((os.cpu_count() or 1) // CORES_PER_PROGRAM, 1)
    with ThreadPoolExecutor(1) as tracing, ThreadPoolExecutor(compilers) as compiling:
        here = on_this_device(lambda function: function())

        def begin(job: Job) -> Callable[[], Any]:
            def trace() -> Future:
                return compiling.submit(here, here(job))

            traced = tracing.submit(trace)
            return lambda: traced.result().result()

        steps = {stage.name: begin(partial(trace_stage, trainer, stage, scene)) for stage in stages}
        others = [begin(job) for job in later]
        try:
            yield steps
            for other in others:
                other()
        except BaseException:  # what has not begun need not
            for pool in (tracing, compiling):
                pool.shutdown(wait=False, cancel_futures=True)
            raise
