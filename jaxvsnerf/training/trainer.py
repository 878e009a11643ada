"""The constants of a training run, and the initial states of stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import jax
import numpy as np

from jaxvsnerf.fields.build import Field
from jaxvsnerf.rendering.plan import memory_budget, micro_batches, more_parts
from jaxvsnerf.system.settings import LARGEST_SEED, check_spec, setting
from jaxvsnerf.training.batch import StepSpec, rays_per_device, stream
from jaxvsnerf.training.stages import StageSpec, promote
from jaxvsnerf.training.start import fit_distance, hull_distance, starts_from_hull
from jaxvsnerf.training.step import init_state, place
from jaxvsnerf.types import Array, TrainState


@dataclass(frozen=True)
class SeedSpec:
    """Where all randomness of a run begins."""

    seed: int = setting(
        0,
        "Seed of the initial parameters, the rays and the jitter; the same seed gives the same "
        "result.",
        at_least=0,
        at_most=LARGEST_SEED,
    )

    def __post_init__(self):
        check_spec(self, "")


@dataclass(frozen=True)
class LoopSpec:
    """How often a run reports and saves."""

    report_every: int = setting(50, "Steps per dispatch and report.", at_least=1, at_most=1_000_000)
    checkpoint_every: int = setting(
        500,
        "Steps between two checkpoints; the end of a stage is always saved.",
        at_least=1,
        at_most=100_000_000,
    )
    tensorboard: bool = setting(False, "Whether event files for TensorBoard are written too.")

    def __post_init__(self):
        check_spec(self, "loop")


@cache  # runs of the same shape in one process share the compiled program
def _make_start(field: Field, stage: StageSpec) -> Callable[..., TrainState]:
    """The program (params or None, sampler, key, hull or None) -> initial state of `stage`."""

    @jax.jit  # one small program instead of dozens of single operations
    def start(params, sampler, key, hull) -> TrainState:
        params = field.init(key, 1) if params is None else params
        if hull is not None:
            params = fit_distance(field, params, hull, sampler.half_extent, stream(key, "hull"))
        params = promote(field, params, stage.mode, stream(key, "promote"))
        return init_state(stage, params, sampler)

    return start


@dataclass(frozen=True)
class Trainer:
    """The constants of a training run.

    Attributes:
      field: the field.
      stages: the stages, in order.
      spec: settings of the train step, common to all stages.
      loop: how often the run reports and saves.
      sampler: initial density grid of the first stage, or None.
      seed: seed of the run's PRNG key.
      devices: devices of all processes, which share each step.
    """

    field: Field
    stages: tuple[StageSpec, ...]
    spec: StepSpec
    loop: LoopSpec
    sampler: object
    seed: int
    devices: tuple

    def key(self) -> Array:
        """The run's PRNG key; `batch.stream` derives named child keys."""
        return jax.random.key(self.seed)

    def micro_batches(self, stage: StageSpec) -> int:
        """Parts in which each device computes a step's gradient, so that activations fit memory."""
        shape = self.field.spec
        local = rays_per_device(stage, shape.num_views, len(self.devices))
        samples, views = max(level.num for level in self.spec.levels), 1
        if stage.mode == "fused":
            samples, views = min(stage.combined or samples, samples), shape.num_views
        if self.spec.loss.terms.roughness and stage.mode != "fused":
            samples *= 2  # the roughness evaluates a second point per sample
        elements = local * shape.num_views * samples * views * shape.width
        return micro_batches(local, elements, memory_budget(jax.local_devices()[0]))

    def more_parts(self, stage: StageSpec, parts: int, used: int) -> int:
        """Parts in which a step fits memory, if the step in `parts` takes `used` bytes."""
        local = rays_per_device(stage, self.field.spec.num_views, len(self.devices))
        return more_parts(local, parts, used, memory_budget(jax.local_devices()[0]))

    def _start_arguments(self, stage: StageSpec, previous: TrainState | None) -> tuple:
        params, sampler = (
            (None, self.sampler) if previous is None else (previous.params, previous.sampler)
        )
        hull = self._hull if previous is None else None
        return params, sampler, stream(self.key(), f"init/{stage.name}"), hull

    @cached_property
    def _hull(self) -> np.ndarray | None:
        """The signed distance that a field starts from, None without a hull or a distance."""
        if not starts_from_hull(self.field) or self.sampler is None:
            return None
        # Without masks the support is the whole cube, which is no shape to start from.
        return None if np.all(self.sampler.support) else hull_distance(self.sampler)

    def initial_state(self, stage: StageSpec, previous: TrainState | None) -> TrainState:
        """The initial state of `stage`, given the previous stage's last state, if any."""
        return _make_start(self.field, stage)(*self._start_arguments(stage, previous))

    def trace_start(self, stage: StageSpec) -> Callable[[], object]:
        """Traces the program of `initial_state`; the returned function compiles the program."""
        before = self.stages[: self.stages.index(stage)]
        ended = place(self.empty_state(before[-1].name), self.devices) if before else None
        start = _make_start(self.field, stage)
        return start.lower(*self._start_arguments(stage, ended)).compile

    def template(self, name: str) -> TrainState:
        """Shapes and dtypes of the state of stage `name`.

        Raises:
          ValueError: the run has no such stage.
        """

        def states() -> TrainState:
            state = None
            for stage in self.stages:
                state = self.initial_state(stage, state)
                if stage.name == name:
                    return state
            raise ValueError(f"expected a stage of the run, got {name!r}")

        return jax.eval_shape(states)

    def empty_state(self, name: str) -> TrainState:
        """A state of zeros for stage `name`, as numpy arrays."""
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), self.template(name))
