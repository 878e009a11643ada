"""From config values to the specs of the rooms."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxvsnerf.config.sections import STAGES
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.errors import MissingFile
from jaxvsnerf.fields.build import FieldSpec
from jaxvsnerf.fields.encode import FrequencySpec, HashEncoderSpec
from jaxvsnerf.fields.ends import DecoderSpec, EncoderSpec, EndsSpec
from jaxvsnerf.fields.hashgrid import HashSpec
from jaxvsnerf.fields.radiance import RadianceSpec
from jaxvsnerf.fields.sdf import SdfSpec, SurfaceSpec
from jaxvsnerf.mesh.spec import MeshSpec
from jaxvsnerf.pictures.spec import TurntableSpec
from jaxvsnerf.preprocess.spec import PreprocessSpec
from jaxvsnerf.rendering.sampling import (
    FIRST_SHARPNESS,
    ROUNDS,
    GridLevel,
    GridSpec,
    ImportanceLevel,
    Level,
    RenderSpec,
    SamplingSpec,
    UniformLevel,
    UpsampleLevel,
)
from jaxvsnerf.simulate.toy import ToySpec
from jaxvsnerf.system.paths import find_path
from jaxvsnerf.system.settings import config_settings
from jaxvsnerf.training.batch import StepSpec, TableSpec
from jaxvsnerf.training.losses import LossSpec, TrustSpec
from jaxvsnerf.training.stages import COARSE_TO_FINE, RAYS_PER_VIEW, StageSpec, check_stages
from jaxvsnerf.training.terms import SMOOTH, SPARSE, TermsSpec
from jaxvsnerf.training.trainer import LoopSpec, SeedSpec

# Settings that name a file or a folder, as (section, name).
PATHS = (
    ("data", "path"),
    ("data", "truth"),
    ("data", "mesh"),
    ("data", "photo"),
    ("metrics", "lpips"),
)


def resolve_config(config: ConfigDict) -> ConfigDict:
    """The config with nothing left to the machine: absolute paths, and a dtype.

    Raises:
      MissingFile: a path does not exist.
    """
    config = config.copy_and_resolve_references()
    for section, name in PATHS:
        if config[section][name]:
            config[section][name] = str(find_path(config[section][name]).resolve())
    if config.field.dtype == "auto":
        # Every device but a CPU has matrix units for bfloat16.
        config.field.dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    if config.field.sdf.products == "auto":
        on_gpu = jax.default_backend() == "gpu"
        config.field.sdf.products = "tensorfloat32" if on_gpu else "float32"
    return config


def with_paths(config: ConfigDict, other: ConfigDict) -> ConfigDict:
    """A copy of the config with the paths of another config."""
    config = config.copy_and_resolve_references()
    for section, name in PATHS:
        config[section][name] = other[section][name]
    return config


def with_found_paths(
    config: ConfigDict, asked: Mapping[str, Any], paths: Mapping[str, str]
) -> ConfigDict:
    """A copy of a run's config with the paths at which its files lie now.

    Args:
      config: the resolved config of the run.
      asked: the config of the run as given, in its JSON form.
      paths: name of a setting of PATHS -> a new path; '' or a missing name takes the path in
        `config` or, if nothing is there, the path in `asked` if that exists.

    Raises:
      MissingFile: a new path does not exist.
    """
    config = config.copy_and_resolve_references()
    for section, name in PATHS:
        values, given = config[section], asked[section][name]
        if paths.get(name):
            values[name] = str(find_path(paths[name]).resolve())
        elif values[name] and not Path(values[name]).exists():
            with contextlib.suppress(MissingFile):
                values[name] = str(find_path(given).resolve())
    return config


def resolve_views(config: ConfigDict, num_views: int) -> ConfigDict:
    """The config with nothing left to the number of views: loss, rays, frequencies, token masks.

    Args:
      config: with or without open values.
      num_views: V, the photo included where `data.photo` names one.
    """
    config = config.copy_and_resolve_references()
    # The photo contradicts nothing: only views that a generator made can outvote each other.
    sparse = num_views - bool(config.data.photo) < SPARSE
    if config.loss.kind == "auto":
        config.loss.kind = "mse" if sparse else "charbonnier"
    if config.loss.terms.roughness == -1:
        config.loss.terms.roughness = SMOOTH if sparse else 0.0
    for stage in (config[name] for name in STAGES):
        if stage.rays == 0:
            stage.rays = RAYS_PER_VIEW * num_views
        if stage.coarse_to_fine == -1:
            stage.coarse_to_fine = COARSE_TO_FINE if sparse else 0.0
        if num_views == 1:  # the combiner would have no view left
            stage.token_mask = "none"
    return config


def with_data(config: ConfigDict, data: Mapping[str, Any]) -> ConfigDict:
    """A copy of the config with other values for fields of its data section."""
    config = config.copy_and_resolve_references()
    config.data.update(data)
    return config


def data_spec(config: ConfigDict) -> DataSpec:
    """The source of the pictures."""
    return _make(DataSpec, config.data)


def toy_spec(config: ConfigDict) -> ToySpec:
    """The embedded toy, which `data.kind` may choose."""
    return _make(ToySpec, config.data)


def preprocess_spec(config: ConfigDict) -> PreprocessSpec:
    """The steps before training."""
    return _make(PreprocessSpec, config.preprocess)


def field_spec(config: ConfigDict, num_views: int) -> FieldSpec:
    """The shape of the field of a resolved config."""
    ends = encoder_spec(config), decoder_spec(config)
    return _make(FieldSpec, config.field, num_views=num_views, encoder=ends[0], decoder=ends[1])


def encoder_spec(config: ConfigDict) -> EncoderSpec:
    """What comes before the layers of the field."""
    hash_grid = _make(HashSpec, config.field.hash_grid)
    if _make(EndsSpec, config.field).encoding == "frequency":
        return _make(FrequencySpec, config.field)
    return _make(HashEncoderSpec, config.field, hash_grid=hash_grid)


def decoder_spec(config: ConfigDict) -> DecoderSpec:
    """What comes after the layers of the field."""
    radiance, surface = _make(RadianceSpec, config.field), _make(SurfaceSpec, config.field.sdf)
    if _make(EndsSpec, config.field).decoder == "radiance":
        return radiance
    return SdfSpec(radiance.dir_freqs, radiance.view_dependent, surface)


def stage_specs(config: ConfigDict, num_views: int) -> tuple[StageSpec, ...]:
    """The stages that have steps, with open values decided by the number of views.

    Raises:
      InputError: the stages do not follow each other or do not fit the views.
    """
    config = resolve_views(config, num_views)
    stages = tuple(
        _make(StageSpec, config[name], name=name) for name in STAGES if config[name].steps
    )
    check_stages(stages, num_views)
    return stages


def train_levels(config: ConfigDict) -> tuple[Level, ...]:
    """Where a training step samples a ray."""
    spec = _make(SamplingSpec, config.sampling)
    return _levels(config, spec, spec.num_intervals)


def render_levels(config: ConfigDict) -> tuple[Level, ...]:
    """Where a rendering samples: as in training, with render.num_intervals on the grid."""
    spec = _make(SamplingSpec, config.sampling)
    return _levels(config, spec, render_spec(config).num_intervals)


def _levels(config: ConfigDict, spec: SamplingSpec, num: int) -> tuple[Level, ...]:
    if spec.kind == "hierarchical":
        return UniformLevel(spec.num_coarse), ImportanceLevel(spec.num_fine)
    if spec.kind == "neus":
        rounds = range(1, ROUNDS + 1)
        return UniformLevel(spec.num_coarse), *(
            UpsampleLevel(
                spec.num_coarse + spec.num_fine * one // ROUNDS, FIRST_SHARPNESS * 2.0 ** (one - 1)
            )
            for one in rounds
        )
    return (_make(GridLevel, config.sampling, num=num),)


def grid_spec(config: ConfigDict) -> GridSpec | None:
    """The density grid that training starts from; None where sampling uses no grid."""
    if _make(SamplingSpec, config.sampling).kind != "grid":
        return None
    return _make(GridSpec, config.sampling)


def table_spec(config: ConfigDict) -> TableSpec:
    """Which pixels become training rays."""
    return _make(TableSpec, config.sampling)


def loss_spec(config: ConfigDict, num_views: int) -> LossSpec:
    """What is minimised, with open values decided by the number of views."""
    loss = resolve_views(config, num_views).loss
    return _make(LossSpec, loss, terms=_make(TermsSpec, loss.terms))


def trust_spec(config: ConfigDict) -> TrustSpec:
    """How much the views count that are far from the generator's input."""
    return _make(TrustSpec, config.loss)


def step_spec(config: ConfigDict, num_views: int) -> StepSpec:
    """What the steps of all stages share."""
    levels, loss = train_levels(config), loss_spec(config, num_views)
    return _make(StepSpec, config.sampling, levels=levels, loss=loss)


def loop_spec(config: ConfigDict) -> LoopSpec:
    """How often a run reports and saves."""
    return _make(LoopSpec, config.loop)


def seed_spec(config: ConfigDict) -> SeedSpec:
    """The seed of the run."""
    return _make(SeedSpec, config)


def render_spec(config: ConfigDict) -> RenderSpec:
    """How pictures of the finished field are sampled."""
    return _make(RenderSpec, config.render)


def turntable_spec(config: ConfigDict) -> TurntableSpec:
    """The video of a full turn."""
    return _make(TurntableSpec, config.render)


def mesh_spec(config: ConfigDict) -> MeshSpec:
    """The exported mesh."""
    return _make(MeshSpec, config.mesh)


def _make(spec: type, values: Mapping[str, Any], **given: Any) -> Any:
    """A spec from a section's values and from what only code knows."""
    return spec(**{name: values[name] for name in config_settings(spec)}, **given)
