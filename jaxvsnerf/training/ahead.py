"""Compiles programs in background threads while a run trains."""

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

# Traces a program; the returned function compiles the program.
Job = Callable[[], Callable[[], Any]]
# Begins a job; the returned function waits for the compilation and returns its result.
Begin = Callable[[Job], Callable[[], Any]]


def trace_stage(trainer: Trainer, stage: StageSpec, scene: Scene) -> Callable[[], Program]:
    """Traces the two programs of a stage: its initial state and its train step.

    Args:
      trainer: the run.
      stage: the stage to trace.
      scene: training data, on the devices.

    Returns:
      A function that compiles both programs and returns the train step, see `make_train_steps`.
    """
    devices = trainer.devices
    # Arguments are placed on the devices as in training: placement is part of the program.
    empty = place(trainer.empty_state(stage.name), devices)
    given = empty, scene, place(trainer.key(), devices), 0

    def trace(parts: int) -> tuple[Program, Callable[[], int]]:
        steps = make_train_steps(trainer.field, stage, trainer.spec, devices, parts)
        return steps, steps.trace(*given)

    # All processes run the same program, so its micro-batches must fit the memory of each.
    parts = most(trainer.micro_batches(stage))
    traced = trace(parts)
    compile_start = trainer.trace_start(stage)

    def compile_both() -> Program:
        nonlocal parts, traced
        # The plan counts the activations of first derivatives; the compiler knows what a step uses.
        while (more := most(trainer.more_parts(stage, parts, traced[1]()))) > parts:
            parts, traced = more, trace(more)
        compile_start()
        return traced[0]

    return compile_both


@contextlib.contextmanager
def compiling_ahead() -> Iterator[Begin]:
    """Runs threads that compile programs ahead of use, until the block ends.

    One thread traces the jobs in order, since tracing is Python code; others compile. Several
    processes must communicate in the same order, so there a job runs when its result is waited
    for.

    Yields:
      A function that begins a job and returns a function that waits for the job's result. A
      failure of a job that nobody waits for is not reported: the program's first use then
      compiles again and reports the failure.
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
        except BaseException:  # cancels the jobs that have not begun
            for pool in (tracing, compiling):
                pool.shutdown(wait=False, cancel_futures=True)
            raise
        tracing.shutdown()  # first, since the traced jobs are submitted to the other pool
