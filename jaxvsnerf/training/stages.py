"""The three stages as data, and how the parameters of one become those of the next."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

from jaxvsnerf.errors import InputError
from jaxvsnerf.fields.build import Field
from jaxvsnerf.types import Array, Params

GROUPS = ("encoding", "shared", "views", "attention", "heads")
STAGE_MODES = ("single", "per_view", "fused")
TOKEN_MASKS = ("none", "own")
# What a stage's field renders any view with. Choice: after stage 2, before there is
# attention, the plain mean of the view features.
RENDER_MODE = {"single": "single", "per_view": "canonical", "fused": "fused"}


@dataclass(frozen=True)
class StageSpec:
    """One stage.

    Attributes:
      name: of the stage; its PRNG stream and its checkpoints carry it.
      steps: optimiser steps; 0 leaves the stage out. At least 0.
      mode: `single` (one MLP for all views), `per_view` (each view's rays through its own
        branch) or `fused` (attention over all branches).
      trainable: groups that change, some of `encoding`, `shared`, `views`, `attention` (mode
        fused only) and `heads`; the others stay bit-identical.
      token_mask: `own` hides a ray's own view from the combiner, `none` hides nothing.
      lr_init: learning rate after warm-up.
      lr_final: learning rate at the last step, exponential in between; above 0, lr_init at
        most.
      warmup: steps of linear warm-up from 0; at least 0.
      rays: rays per step over all devices; at least 1.
      combined: samples of a ray that the combiner sees, those that carry most weight; the
        others keep the answer of the average branch. 0 is all. Mode fused only; at least 0.
      encoding_lr: the encoding learns this many times faster than the rest; at least 0.
      pull: weight in the loss of what branches are away from their mean, see `branch_spread`;
        at least 0.
      coarse_to_fine: share of the steps in which the encoding's frequencies open one after
        the other, the coarsest first; 0 has all of them open from the start. 0 to 1.
    """

    name: str
    steps: int
    mode: str
    trainable: tuple[str, ...]
    token_mask: str = "none"
    lr_init: float = 1e-3
    lr_final: float = 1e-4
    warmup: int = 100
    rays: int = 4096
    combined: int = 0
    encoding_lr: float = 10.0
    pull: float = 0.0
    coarse_to_fine: float = 0.0

    def __post_init__(self):
        if self.mode not in STAGE_MODES:
            raise InputError(
                f"{self.name}.mode: expected one of {', '.join(STAGE_MODES)}, got {self.mode!r}"
            )
        unknown = [group for group in self.trainable if group not in GROUPS]
        if unknown or not self.trainable:
            raise InputError(
                f"{self.name}.trainable: expected some of {', '.join(GROUPS)}, got {self.trainable}"
            )
        if "attention" in self.trainable and self.mode != "fused":
            raise InputError(f"{self.name}.trainable: attention exists in mode fused only")
        if self.token_mask not in TOKEN_MASKS:
            raise InputError(
                f"{self.name}.token_mask: expected one of {', '.join(TOKEN_MASKS)}, "
                f"got {self.token_mask!r}"
            )
        if self.steps < 0 or self.warmup < 0 or self.rays < 1:
            raise InputError(
                f"{self.name}: expected steps >= 0, warmup >= 0 and rays >= 1, "
                f"got {self.steps}, {self.warmup} and {self.rays}"
            )
        if self.combined < 0 or self.encoding_lr < 0 or self.pull < 0:
            raise InputError(
                f"{self.name}: expected combined >= 0, encoding_lr >= 0 and pull >= 0, "
                f"got {self.combined}, {self.encoding_lr} and {self.pull}"
            )
        if not 0 <= self.coarse_to_fine <= 1:
            raise InputError(
                f"{self.name}.coarse_to_fine: expected 0 to 1, got {self.coarse_to_fine}"
            )
        if not 0 < self.lr_final <= self.lr_init:
            raise InputError(
                f"{self.name}: expected 0 < lr_final <= lr_init, "
                f"got {self.lr_final} and {self.lr_init}"
            )


def check_stages(stages: tuple[StageSpec, ...], num_views: int) -> None:
    """Raises ValueError where the stages do not follow each other or do not fit the views."""
    if not stages:
        raise InputError("expected at least one stage with steps > 0, all of them are 0")
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
    """Adam with linear warm-up and exponential decay; its state is fresh at each stage."""
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
    """params + updates, those of a learned encoding times `encoding_lr`."""
    if "encoding" in updates:
        faster = jax.tree.map(lambda leaf: stage.encoding_lr * leaf, updates["encoding"])
        updates = {**updates, "encoding": faster}
    return jax.tree.map(jnp.add, params, updates)


def promote(field: Field, params: Params, mode: str, key: Array) -> Params:
    """The parameters a stage of `mode` starts from. The rendered function does not change.

    Args:
      field: the field.
      params: of the stage before.
      mode: of the stage to come.
      key: initialises what is new.

    Returns:
      params with V branches (copies of the one there was) for per_view and fused, and
      with an attention group, whose output projection is zero, for fused.
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
    """(groups that change, groups that do not)."""
    changing = {group: value for group, value in params.items() if group in trainable}
    frozen = {group: value for group, value in params.items() if group not in trainable}
    return changing, frozen
