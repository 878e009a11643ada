"""Compiles what a run will need while it trains."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
# Begins a job; the function it returns waits for what the job's function returned.
Begin = Callable[[Job], Callable[[], Any]]


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
def compiling_ahead() -> Iterator[Begin]:
    """Threads that compile what will be wanted, until the block ends.

    One thread traces the jobs in order, since tracing is Python, and others compile. With
    several processes, which must ask each other in the same order, a job is done when its
    result is waited for.

    Yields:
      Begins a job; returns a function that waits for its result. A job that nobody waits for
      may fail unseen: what it compiles is then compiled, and fails, where it is wanted.
    """
    if jax.process_count() > 1:
        yield lambda job: lambda: job()()
        return
    compilers = max((os.cpu_count() or 1) // CORES_PER_PROGRAM, 1)
    with ThreadPoolExecutor(1) as tracing, ThreadPoolExecutor(compilers) as compiling:
        here = on_this_device(lambda function: function())

        def begin(job: Job) -> Callable[[], Any]:
            def trace() -> Future:
                return compiling.submit(here, here(job))

            traced = tracing.submit(trace)
            return lambda: traced.result().result()

        try:
            yield begin
        except BaseException:  # what has not begun need not
            for pool in (tracing, compiling):
                pool.shutdown(wait=False, cancel_futures=True)
            raise
        tracing.shutdown()  # it fills the other pool
