"""From config values to the specs of the rooms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

import jax
from ml_collections import ConfigDict

from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import HALF_EXTENT
from jaxvsnerf.mesh.bake import check_texture_size
from jaxvsnerf.rendering.sampling import GridLevel, ImportanceLevel, Level, UniformLevel
from jaxvsnerf.run import events
from jaxvsnerf.simulate.toy import ToySpec
from jaxvsnerf.system.paths import find_path
from jaxvsnerf.training.batch import StepSpec
from jaxvsnerf.training.losses import LossSpec
from jaxvsnerf.training.stages import StageSpec, check_stages

STAGES = ("stage1", "stage2", "stage3")


# Choice: with fewer views hardly a surface is seen by three, and nothing says which of two
# claims is wrong. Then smoothness decides instead of a robust loss.
SPARSE = 8


SMOOTH, COARSE_TO_FINE = 3.0, 0.9


# Choice: rays that a view has of a step where a stage leaves their number open.
RAYS_PER_VIEW = 256


def resolve_config(config: ConfigDict) -> ConfigDict:
    """The config with nothing left to the machine it runs on: data paths, dtype `auto`.

    Raises:
      FileNotFoundError: a path does not exist.
    """
    config = config.copy_and_resolve_references()
    for name in ("path", "truth", "mesh", "photo"):
        if config.data[name]:
            config.data[name] = str(find_path(config.data[name]).resolve())
    if config.metrics.lpips:
        config.metrics.lpips = str(find_path(config.metrics.lpips).resolve())
    if config.field.dtype == "auto":
        # There are matrix units for bf16 everywhere but on a CPU.
        config.field.dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return config


def with_data(config: ConfigDict, data: Mapping[str, str]) -> ConfigDict:
    """A copy of the config with other values for fields of its data section."""
    config = config.copy_and_resolve_references()
    config.data.update(data)
    return config


def data_spec(config: ConfigDict) -> DataSpec:
    """The source of the pictures."""
    toy = {field.name for field in fields(ToySpec)}
    return DataSpec(**{name: value for name, value in config.data.items() if name not in toy})


def toy_spec(config: ConfigDict) -> ToySpec:
    """The embedded toy, which `data.kind` may choose."""
    return ToySpec(**{field.name: config.data[field.name] for field in fields(ToySpec)})


def stage_specs(config: ConfigDict, num_views: int) -> tuple[StageSpec, ...]:
    """The stages that have steps, with what is left to the number of views."""

    def spec(name: str) -> StageSpec:
        values = dict(config[name])
        if values["rays"] == 0:
            values["rays"] = RAYS_PER_VIEW * num_views
        if values["coarse_to_fine"] == -1:
            values["coarse_to_fine"] = COARSE_TO_FINE if num_views < SPARSE else 0.0
        return StageSpec(name=name, **values)

    stages = tuple(spec(name) for name in STAGES if config[name].steps)
    check_stages(stages, num_views)
    return stages


def train_levels(config: ConfigDict) -> tuple[Level, ...]:
    """Where a train step samples.

    Raises:
      ValueError: an unknown kind of sampling, or a number out of range.
    """
    s = config.sampling
    _positive("sampling", s, "num_intervals", "num_probes", "num_coarse", "num_fine")
    if s.kind == "hierarchical":
        return UniformLevel(s.num_coarse), ImportanceLevel(s.num_fine)
    if s.kind == "grid":
        return (GridLevel(s.num_intervals, s.num_probes, s.exploration),)
    raise InputError(f"sampling.kind: expected grid or hierarchical, got {s.kind!r}")


def render_levels(config: ConfigDict) -> tuple[Level, ...]:
    """Where a rendering samples: as in training, with render.num_intervals on the grid."""
    _positive("render", config.render, "num_intervals")
    return tuple(
        replace(level, num=config.render.num_intervals) if isinstance(level, GridLevel) else level
        for level in train_levels(config)
    )


def check_outputs(config: ConfigDict) -> None:
    """Raises ValueError, or ImportError, where what is set to be written cannot be."""
    render_levels(config)
    _positive("render", config.render, "turntable_frames", "turntable_fps", "turntable_size")
    if not 0 <= config.render.opaque < 1:
        raise InputError(f"render.opaque: expected 0 (nothing is) to 1, got {config.render.opaque}")
    if config.mesh.resolution < 2 or config.mesh.level < 0:
        raise InputError(
            "mesh: expected resolution of at least 2 and level of at least 0 (0 finds it), got "
            f"{config.mesh.resolution} and {config.mesh.level}"
        )
    if config.mesh.faces < 4:
        raise InputError(f"mesh.faces: expected at least 4, got {config.mesh.faces}")
    check_texture_size(config.mesh.texture)
    if config.loop.tensorboard:
        events.check_installed()


def loss_spec(config: ConfigDict, num_views: int) -> LossSpec:
    """What is minimised, with what is left to the number of views."""
    values = {name: value for name, value in config.loss.items() if name != "trust"}
    sparse = num_views < SPARSE
    if values["kind"] == "auto":
        values["kind"] = "mse" if sparse else "charbonnier"
    if values["smooth"] == -1:
        values["smooth"] = SMOOTH if sparse else 0.0
    return LossSpec(**values)


def step_spec(config: ConfigDict, num_views: int) -> StepSpec:
    """What the stages share."""
    s = config.sampling
    _positive("sampling", s, "grid_every", "grid_cells", "grid_resolution")
    if not 0 <= s.background_share <= 1 or not 0 <= s.exploration <= 1:
        raise InputError(
            "sampling: expected background_share and exploration in [0, 1], "
            f"got {s.background_share} and {s.exploration}"
        )
    if config.loss.trust < 0:
        raise InputError(f"loss.trust: expected at least 0, got {config.loss.trust}")
    return StepSpec(
        levels=train_levels(config),
        loss=loss_spec(config, num_views),
        background_share=s.background_share,
        grid_every=s.grid_every,
        grid_cells=s.grid_cells,
        half_extent=HALF_EXTENT,
    )


def _positive(section: str, values: ConfigDict, *names: str) -> None:
    for name in names:
        if values[name] < 1:
            raise InputError(f"{section}.{name}: expected at least 1, got {values[name]}")
