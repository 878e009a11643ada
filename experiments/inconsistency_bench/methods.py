"""The compared methods: from views and a seed to a function that renders any camera.

Any function `(views, seed) -> renderer` is a method. `views` is a `ViewSet` (pictures, masks,
cameras, background). The renderer takes `Cameras` and returns pictures [V, height, width, 3] in
[0, 1]. A renderer with a method `surface()` can be scored in shape too. To compare another method,
add an entry to `METHODS`:

    def mine(settings: Settings) -> Method:
        def train(views: ViewSet, seed: int) -> Renderer:
            model = my_training(views.images, views.cameras.intrinsics, views.cameras.w2c, seed)
            return lambda cameras: model.render(cameras.intrinsics, cameras.w2c)
        return train

    METHODS["mine"] = Entry(mine, settings={"steps": 1000}, choices={"steps": (500, 1000)})

An external program is compared by its pictures, see `outside.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from configs import hash as hash_grid
from configs import paper, surface
from experiments.inconsistency_bench.fields import (
    appearance_field,
    deformed_field,
    uncertain_field,
)
from experiments.inconsistency_bench.losses import DeformedLoss, TrimmedLoss, UncertainLoss
from jaxvsnerf.config import resolve
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.errors import InputError
from jaxvsnerf.fields.build import Field
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.run import assemble
from jaxvsnerf.run.surface import field_mesh
from jaxvsnerf.training.batch import stream
from jaxvsnerf.training.losses import LossSpec
from jaxvsnerf.training.step import NO_STEP, make_train_steps, place
from jaxvsnerf.training.trainer import Trainer
from jaxvsnerf.types import Cameras, Surface, TrainState, ViewSet

# Largest number of rays of a method: 1,000 steps of 4,096.
BUDGET = 4_096_000
Settings = Mapping[str, Any]
Renderer = Callable[[Cameras], np.ndarray]
Method = Callable[[ViewSet, int], Renderer]
# (default field, default loss, **settings of the method) -> (field, loss) of the method.
Parts = Callable[..., tuple[Field, LossSpec]]


@dataclass(frozen=True)
class Reconstruction:
    """A renderer with a surface.

    Attributes:
      field: the trained field.
      resolution: points a side of the lattice for the surface.
    """

    field: TrainedField
    resolution: int

    def __call__(self, cameras: Cameras) -> np.ndarray:
        """Renders pictures [V, height, width, 3]."""
        return self.field.render(cameras).rgb

    def surface(self) -> Surface:
        """Extracts the surface as `python -m jaxvsnerf.export` does, with all faces."""
        mesh = field_mesh(self.field, 0.0, self.resolution).mesh
        return Surface(mesh.vertices, mesh.faces)


@dataclass(frozen=True)
class Entry:
    """A method with its settings.

    Attributes:
      make: settings -> method.
      settings: the settings before tuning.
      choices: setting -> values to try; tuning tries every combination.
    """

    make: Callable[[Settings], Method]
    settings: Settings
    choices: Mapping[str, tuple]

    def candidates(self) -> list[dict[str, Any]]:
        """All settings that tuning tries."""
        values = product(*self.choices.values())
        return [{**self.settings, **dict(zip(self.choices, one, strict=True))} for one in values]


def with_settings(make_config: Callable[[], ConfigDict], settings: Settings) -> ConfigDict:
    """Applies settings with a dot in their names to a config.

    The setting `length` multiplies the steps of all stages.

    Raises:
      InputError: the stages take more rays than `BUDGET`.
    """
    config = make_config()
    config.update_from_flattened_dict({k: v for k, v in settings.items() if "." in k})
    for name in resolve.STAGES:
        config[name].steps = round(config[name].steps * settings["length"])
    if (rays := count_rays(config)) > BUDGET:
        raise InputError(f"expected at most {BUDGET} rays, got {rays}; lower `length`")
    return resolve.resolve_config(config)


def count_rays(config: ConfigDict) -> int:
    """Counts the rays of all stages; settings that depend on the number of views assume 16."""
    return sum(stage.steps * stage.rays for stage in resolve.stage_specs(config, 16))


def fit(trainer: Trainer, scene: Any) -> TrainState:
    """Trains all stages, each in one dispatch; returns the state.

    Raises:
      InputError: a loss is not finite.
    """
    state = None
    for stage in trainer.stages:
        state = place(trainer.initial_state(stage, state), trainer.devices)
        key = place(stream(trainer.key(), stage.name), trainer.devices)
        parts = trainer.micro_batches(stage)
        steps = make_train_steps(trainer.field, stage, trainer.spec, trainer.devices, parts)
        state, sums = steps(state, scene, key, stage.steps)
        if (bad := int(sums.bad_step)) != NO_STEP:
            raise InputError(f"{stage.name}: the loss of step {bad} is not finite")
    return state


def train_product(
    make_config: Callable[[], ConfigDict], parts: Parts | None, settings: Settings
) -> Method:
    """Makes a method from a config of this project.

    Args:
      make_config: returns the config.
      parts: replaces field and loss of the config; None keeps both.
      settings: settings of the config (with a dot), of `parts`, and `length`.
    """
    config = with_settings(make_config, settings)
    own = {k: v for k, v in settings.items() if "." not in k and k != "length"}

    def train(views: ViewSet, seed: int) -> Renderer:
        config.seed = seed
        devices = jax.local_devices()[:1]
        grid = assemble.make_grid(config, views)
        trainer = assemble.make_trainer(config, len(views.images), grid, devices)
        if parts is not None:
            field, loss = parts(trainer.field, trainer.spec.loss, **own)
            trainer = replace(trainer, field=field, spec=replace(trainer.spec, loss=loss))
        scene = assemble.make_scene(config, views, devices)
        state, last = fit(trainer, scene), trainer.stages[-1]
        field = assemble.trained_field(
            config, trainer, last, state, views.cameras, views.background
        )
        return Reconstruction(field, config.mesh.resolution)

    return train


def one_stage() -> ConfigDict:
    """Config of stage 1 alone: one NeRF for all views, robust loss, no direction."""
    config = default_config()
    config.stage1.update(steps=1000, rays=4096, lr_final=2e-4, coarse_to_fine=0.0)
    config.stage2.steps = config.stage3.steps = 0
    config.loss.update(kind="charbonnier", trust=0.0)
    config.loss.terms.roughness = 0.0
    return config


def one_surface() -> ConfigDict:
    """Config of a signed distance for all views, at the rays of all stages."""
    config = surface.get_config()
    config.stage1.update(steps=1000, rays=4096)
    config.stage2.steps = config.stage3.steps = 0
    return config


def plain_nerf() -> ConfigDict:
    """Config of NeRF: squared error, colour that depends on the direction."""
    config = one_stage()
    config.field.view_dependent = True
    config.loss.kind = "mse"
    return config


def coded() -> ConfigDict:
    """Config of one stage in which each view's rays use the view's code."""
    config = one_stage()
    config.stage1.update(mode="per_view")
    config.stage3.combined = 0  # the field is cheap and has no views to combine
    return config


def paper_sampled() -> ConfigDict:
    """Config of the paper's stages, field and loss, with the rays and samples of all methods."""
    config, sampled = paper.get_config(), default_config()
    config.data.views = ()
    config.sampling, config.loss.trust = sampled.sampling, 0.0
    config.stage1.steps, config.stage2.steps, config.stage3.steps = 500, 250, 250
    return config


def appearance(field: Field, loss: LossSpec, code: int) -> tuple[Field, LossSpec]:
    """Adds a colour code for each view.

    Args:
      field: the default field.
      loss: the default loss.
      code: numbers per code.
    """
    return appearance_field(field.spec, code), loss


def trimmed(field: Field, loss: LossSpec, share: float) -> tuple[Field, LossSpec]:
    """Leaves out the rays with the largest errors.

    Args:
      field: the default field.
      loss: the default loss.
      share: share of the rays to leave out.
    """
    return field, TrimmedLoss(**vars(loss), share=share)


def uncertain(field: Field, loss: LossSpec, code: int, floor: float) -> tuple[Field, LossSpec]:
    """Adds a learned deviation for each view.

    Args:
      field: the default field.
      loss: the default loss.
      code: numbers per code.
      floor: the smallest deviation, in colour units.
    """
    return uncertain_field(field.spec, code), UncertainLoss(**vars(loss), floor=floor)


def deformed(field: Field, loss: LossSpec, code: int, bending: float) -> tuple[Field, LossSpec]:
    """Lets each view bend the object.

    Args:
      field: the default field.
      loss: the default loss.
      code: numbers per code.
      bending: weight of the squared offset.
    """
    return deformed_field(field.spec, code), DeformedLoss(**vars(loss), bending=bending)


LENGTHS = {"length": (0.25, 0.5, 1.0)}
RATES = {"stage1.lr_init": (3e-3, 1e-3)}


def _entry(
    config: Callable[[], ConfigDict], choices: dict[str, tuple], parts: Parts | None = None
) -> Entry:
    choices = {**LENGTHS, **choices}
    settings = {name: values[0] for name, values in choices.items()}
    return Entry(partial(train_product, config, parts), settings, choices)


METHODS: dict[str, Entry] = {
    "plain": _entry(plain_nerf, {**RATES, "loss.terms.mask": (0.1, 1.0)}),
    "robust": _entry(one_stage, RATES),
    "trusting": _entry(one_stage, {"loss.trust": (0.75, 1.5)}),
    "appearance": _entry(coded, {"code": (4, 16)}, appearance),
    "trimmed": _entry(one_stage, {"share": (0.05, 0.15)}, trimmed),
    "uncertain": _entry(
        coded, {"code": (8,), "floor": (0.05, 0.15), "loss.terms.mask": (0.1, 1.0)}, uncertain
    ),
    "deformed": _entry(coded, {"code": (8,), "bending": (1.0, 30.0)}, deformed),
    "paper": _entry(paper_sampled, {"loss.terms.mask": (0.0, 0.1)}),
    # One setting for all pictures. Its steps were also chosen on the tuning objects.
    "ours": _entry(default_config, {"length": (1.0,)}),
    "ours-hash": _entry(hash_grid.get_config, {"length": (1.0,)}),
    # The budget is for shorter training than that of the recipe.
    "surface": _entry(surface.get_config, {"length": (0.8,)}),
    "surface-one": _entry(one_surface, {"length": (1.0,)}),
}
