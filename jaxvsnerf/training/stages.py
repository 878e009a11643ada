"""The three stages as data, their optimiser, and promotion of parameters between stages."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

from jaxvsnerf.errors import InputError
from jaxvsnerf.fields.build import Field
from jaxvsnerf.system.settings import Auto, argument, check_spec, setting
from jaxvsnerf.training.terms import SPARSE
from jaxvsnerf.types import Array, Params

GROUPS = ("encoding", "shared", "views", "attention", "heads")
STAGE_MODES = ("single", "per_view", "fused")
TOKEN_MASKS = ("none", "own")
# Choice: the share of the steps in which frequencies open, where views are few.
COARSE_TO_FINE = 0.9
# Choice: rays of each view in a step whose number of rays is left open.
RAYS_PER_VIEW = 256
# Mode in which a stage's field renders any camera. Choice: after stage 2, which has no attention
# yet, the mean of the view features.
RENDER_MODE = {"single": "single", "per_view": "canonical", "fused": "fused"}


@dataclass(frozen=True)
class StageSpec:
    """One stage of training."""

    name: str = argument("Name of the stage; its PRNG stream and its checkpoints carry the name.")
    steps: int = setting(
        0, "Optimiser steps; 0 leaves the stage out.", at_least=0, at_most=100_000_000
    )
    mode: str = setting(
        "single",
        "`single` (one MLP for all views), `per_view` (each view's rays through the view's own "
        "branch) or `fused` (attention over all branches).",
        choices=STAGE_MODES,
    )
    trainable: tuple[str, ...] = setting(
        ("encoding", "shared", "views", "heads"),
        "Groups of parameters that change; the other groups stay bit-identical. `attention` "
        "exists in mode fused only.",
        choices=GROUPS,
    )
    token_mask: str = setting(
        "none",
        "`own` hides a ray's own view from the combiner, `none` hides nothing. A run of one view "
        "hides nothing.",
        choices=TOKEN_MASKS,
    )
    lr_init: float = setting(1e-3, "Learning rate after warm-up.", above=0, at_most=1000)
    lr_final: float = setting(
        1e-4,
        "Learning rate at the last step, at most lr_init; the decay is exponential.",
        above=0,
        at_most=1000,
    )
    warmup: int = setting(50, "Steps of linear warm-up from 0.", at_least=0, at_most=100_000_000)
    rays: int = setting(
        4096,
        "Rays per step over all devices.",
        at_least=1,
        at_most=2**22,
        auto=Auto(0, f"{RAYS_PER_VIEW} rays of each view"),
    )
    combined: int = setting(
        0,
        "Samples of a ray that the combiner sees in mode fused, those of largest weight; the "
        "others keep the answer of the average branch. 0 combines all.",
        at_least=0,
        at_most=4096,
    )
    encoding_lr: float = setting(
        10.0,
        "Learning rate of a learned encoding, relative to the other groups'.",
        at_least=0,
        at_most=1e4,
    )
    pull: float = setting(
        0.0,
        "Weight in the loss of the branches' distance from their mean.",
        at_least=0,
        at_most=1e6,
    )
    coarse_to_fine: float = setting(
        0.0,
        "Share of the steps in which the encoding's frequencies open one after the other, the "
        "coarsest first; 0 opens all from the start.",
        at_least=0,
        at_most=1,
        auto=Auto(-1.0, f"{COARSE_TO_FINE:g} with fewer than {SPARSE} generated views, else 0"),
    )
    cos_anneal: float = setting(
        0.0,
        "Share of the steps in which surfaces that face away from a ray count too, less and less; "
        "for `field.decoder` sdf. NeuS without masks: 1/6.",
        at_least=0,
        at_most=1,
    )

    def __post_init__(self):
        check_spec(self, self.name)
        if not self.trainable:
            raise InputError(f"{self.name}.trainable: expected some of {', '.join(GROUPS)}, got ()")
        if "attention" in self.trainable and self.mode != "fused":
            raise InputError(f"{self.name}.trainable: attention exists in mode fused only")
        if self.lr_final > self.lr_init:
            raise InputError(
                f"{self.name}: expected lr_final <= lr_init, got {self.lr_final} and {self.lr_init}"
            )


def check_stages(stages: tuple[StageSpec, ...], num_views: int) -> None:
    """Checks the order of the stages, and token masks against the number of views.

    Raises:
      InputError: no stage, modes out of order, or a token mask that does not fit.
    """
    if not stages:
        raise InputError("expected at least one stage with steps > 0, got 0 for all")
    order = [STAGE_MODES.index(stage.mode) for stage in stages]
    if order != sorted(order):
        raise InputError(
            f"stages: expected modes in the order {' -> '.join(STAGE_MODES)}, "
            f"got {' -> '.join(stage.mode for stage in stages)}"
        )
    for stage in stages:
        if stage.token_mask == "own" and (stage.mode != "fused" or num_views < 2):
            raise InputError(
                f"{stage.name}.token_mask: 'own' needs mode fused and at least 2 views, "
                f"got mode {stage.mode} and {num_views} view(s)"
            )


def make_optimizer(stage: StageSpec) -> optax.GradientTransformation:
    """Adam with linear warm-up and exponential decay; every stage starts with a fresh state."""
    warmup = min(stage.warmup, stage.steps // 2)
    schedule = optax.warmup_exponential_decay_schedule(
        init_value=0.0 if warmup else stage.lr_init,
        peak_value=stage.lr_init,
        warmup_steps=warmup,
        transition_steps=max(stage.steps - warmup, 1),
        decay_rate=stage.lr_final / stage.lr_init,
    )
    return optax.adam(schedule, eps=1e-8)


def apply_updates(stage: StageSpec, params: Params, updates: Params) -> Params:
    """Adds updates to parameters; updates of the encoding are multiplied by `encoding_lr`.

    Args:
      stage: the stage.
      params: trainable parameters.
      updates: the optimiser's updates, a pytree like `params`.
    """
    if "encoding" in updates:
        faster = jax.tree.map(lambda leaf: stage.encoding_lr * leaf, updates["encoding"])
        updates = {**updates, "encoding": faster}
    return jax.tree.map(jnp.add, params, updates)


def promote(field: Field, params: Params, mode: str, key: Array) -> Params:
    """Converts one stage's parameters to initial parameters of the next.

    The rendered function does not change.

    Args:
      field: the field.
      params: parameters of the previous stage.
      mode: mode of the next stage.
      key: PRNG key that initialises new parameters.

    Returns:
      Parameters with V branches, copies of the previous single branch, for per_view and fused;
      and with the group attention, whose output projection is zero, for fused.
    """
    branches = jax.tree.leaves(params["views"])[0].shape[0]
    if mode != "single" and branches == 1:
        count = field.spec.num_views
        views = jax.tree.map(lambda leaf: jnp.repeat(leaf, count, axis=0), params["views"])
        params = {**params, "views": views}
    if mode == "fused" and "attention" not in params:
        params = {**params, "attention": field.init_attention(key)}
    return params


def split_trainable(params: Params, trainable: tuple[str, ...]) -> tuple[Params, Params]:
    """Splits parameters by group: (trainable, frozen)."""
    changing = {group: value for group, value in params.items() if group in trainable}
    frozen = {group: value for group, value in params.items() if group not in trainable}
    return changing, frozen
