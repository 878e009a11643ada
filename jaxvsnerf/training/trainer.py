"""All that does not change while a run trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import jax
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.fields.build import Field
from jaxvsnerf.rendering.plan import memory_budget, micro_batches
from jaxvsnerf.training.batch import StepSpec, rays_per_device, stream
from jaxvsnerf.training.stages import StageSpec, promote
from jaxvsnerf.training.step import init_state, place
from jaxvsnerf.types import Array, TrainState


@dataclass(frozen=True)
class LoopSpec:
    """Cadence, in steps of a stage.

    Attributes:
      report_every: steps per dispatch and report; at least 1.
      checkpoint_every: steps between two checkpoints; the end of a stage is always one. At
        least 1.
    """

    report_every: int
    checkpoint_every: int

    def __post_init__(self):
        if self.report_every < 1 or self.checkpoint_every < 1:
            raise InputError(
                f"loop: expected report_every and checkpoint_every of at least 1, "
                f"got {self.report_every} and {self.checkpoint_every}"
            )


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
        if self.spec.loss.smooth and stage.mode != "fused":
            samples *= 2  # the roughness asks beside each of them
        elements = local * shape.num_views * samples * views * shape.width
        return micro_batches(local, elements, memory_budget(jax.local_devices()[0]))

    def _start_arguments(self, stage: StageSpec, previous: TrainState | None) -> tuple:
        params, sampler = (
            (None, self.sampler) if previous is None else (previous.params, previous.sampler)
        )
        return params, sampler, stream(self.key(), f"init/{stage.name}")

    def initial_state(self, stage: StageSpec, previous: TrainState | None) -> TrainState:
        """The state `stage` starts from, given the state the stage before ended with."""
        return _make_start(self.field, stage)(*self._start_arguments(stage, previous))

    def trace_start(self, stage: StageSpec) -> Callable[[], object]:
        """Traces what makes the state `stage` starts from; the returned function compiles it."""
        before = self.stages[: self.stages.index(stage)]
        ended = place(self.empty_state(before[-1].name), self.devices) if before else None
        start = _make_start(self.field, stage)
        return start.lower(*self._start_arguments(stage, ended)).compile

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

    def empty_state(self, name: str) -> TrainState:
        """A state of stage `name` that is all zeros, as numpy arrays."""
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), self.template(name))
