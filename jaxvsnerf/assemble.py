"""From a config to the parts of a run: the only place that reads config values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxvsnerf.data.load import DataSpec, add_photo, find_path, load_dataset
from jaxvsnerf.data.photo_view import all_cameras
from jaxvsnerf.fields.build import Field, FieldSpec, build_field
from jaxvsnerf.fields.hashgrid import HashSpec
from jaxvsnerf.geometry.cameras import HALF_EXTENT, camera_centers, optical_axes
from jaxvsnerf.geometry.hull import dilate_masks, grid_centers, visual_hull
from jaxvsnerf.metrics.lpips import Lpips
from jaxvsnerf.metrics.scores import score_views
from jaxvsnerf.outputs import events
from jaxvsnerf.outputs.bake import check_texture_size
from jaxvsnerf.preprocess.prepare import Record, prepare_views
from jaxvsnerf.preprocess.spec import PreprocessSpec
from jaxvsnerf.references import References, read_perceptual, read_true_surface
from jaxvsnerf.rendering.grid import DensityGrid, init_grid
from jaxvsnerf.rendering.sampling import GridLevel, ImportanceLevel, Level, UniformLevel
from jaxvsnerf.trained import TrainedField
from jaxvsnerf.training.ahead import Job
from jaxvsnerf.training.batch import Scene, StepSpec
from jaxvsnerf.training.losses import LossSpec
from jaxvsnerf.training.processes import all_devices
from jaxvsnerf.training.rays import build_all_tables
from jaxvsnerf.training.stages import RENDER_MODE, StageSpec, check_stages
from jaxvsnerf.training.step import place
from jaxvsnerf.training.trainer import LoopSpec, Trainer
from jaxvsnerf.training.trust import view_trust
from jaxvsnerf.types import Cameras, Context, Dataset, Photo, Surface, TrainState, ViewSet

STAGES = ("stage1", "stage2", "stage3")
# Choice: with fewer views hardly a surface is seen by three, and nothing says which of two
# claims is wrong. Then smoothness decides instead of a robust loss.
SPARSE = 8
SMOOTH, COARSE_TO_FINE = 3.0, 0.9
# Choice: rays that a view has of a step where a stage leaves their number open.
RAYS_PER_VIEW = 256
# The hull's cells start with this density: a ray through a third of the cube is then
# neither free nor blocked.
START_DENSITY = 5.0


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
    return DataSpec(**config.data)


def load_pictures(config: ConfigDict) -> tuple[Dataset, Record]:
    """The pictures of a run, its inputs prepared, and what was done to these.

    Raises:
      FileNotFoundError, ValueError: see `load_dataset` and `add_photo`; ValueError: see
        PreprocessSpec.
    """
    spec, source = PreprocessSpec(**config.preprocess), data_spec(config)
    dataset = load_dataset(source)
    prepared, record = prepare_views(dataset.inputs, spec)
    return add_photo(dataset.replace(prepared=prepared), source), record


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


def make_field(config: ConfigDict, num_views: int) -> Field:
    """The field of a resolved config."""
    values = {**config.field, "hash_grid": HashSpec(**config.field.hash_grid)}
    return build_field(FieldSpec(num_views=num_views, half_extent=HALF_EXTENT, **values))


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
    raise ValueError(f"sampling.kind: expected grid or hierarchical, got {s.kind!r}")


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
        raise ValueError(f"render.opaque: expected 0 (nothing is) to 1, got {config.render.opaque}")
    if config.mesh.resolution < 2 or config.mesh.level < 0:
        raise ValueError(
            "mesh: expected resolution of at least 2 and level of at least 0 (0 finds it), got "
            f"{config.mesh.resolution} and {config.mesh.level}"
        )
    if config.mesh.faces < 4:
        raise ValueError(f"mesh.faces: expected at least 4, got {config.mesh.faces}")
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
        raise ValueError(
            "sampling: expected background_share and exploration in [0, 1], "
            f"got {s.background_share} and {s.exploration}"
        )
    if config.loss.trust < 0:
        raise ValueError(f"loss.trust: expected at least 0, got {config.loss.trust}")
    return StepSpec(
        levels=train_levels(config),
        loss=loss_spec(config, num_views),
        background_share=s.background_share,
        grid_every=s.grid_every,
        grid_cells=s.grid_cells,
        half_extent=HALF_EXTENT,
    )


def make_grid(config: ConfigDict, views: ViewSet | None) -> DensityGrid | None:
    """The grid the first stage starts from: the masks' hull, or full without masks.

    Args:
      config: the config.
      views: the input views; None gives a full grid, a template of the shapes.
    """
    s = config.sampling
    if s.kind != "grid":
        return None
    if not 0 <= s.hull_outside < 1:
        raise ValueError(
            f"sampling.hull_outside: expected a share of the views, 0 to 1, got {s.hull_outside}"
        )
    support = np.ones((s.grid_resolution,) * 3, bool)
    if views is not None and views.masks is not None:
        points = grid_centers(s.grid_resolution, HALF_EXTENT)
        masks = dilate_masks(views.masks, s.hull_dilate_px)
        outside = int(s.hull_outside * len(masks))
        if views.weights is not None:
            masks = np.where(views.weights[:, None, None] > 0, masks, 1.0)
            outside = int(s.hull_outside * np.sum(views.weights > 0))
        support = np.asarray(visual_hull(points, views.cameras, masks, outside, True))
    return init_grid(support, START_DENSITY, HALF_EXTENT)


def load_references(config: ConfigDict, dataset: Dataset) -> References:
    """What scoring takes beside pictures."""
    return References(load_perceptual(config, dataset), load_true_surface(config, dataset))


def load_perceptual(config: ConfigDict, dataset: Dataset) -> Lpips | None:
    """See `read_perceptual`."""
    return read_perceptual(config.metrics.lpips, dataset)


def load_true_surface(config: ConfigDict, dataset: Dataset) -> Surface | None:
    """See `read_true_surface`."""
    return read_true_surface(config.data.mesh, dataset)


def make_context(cameras: Cameras) -> Context:
    """What the field knows of the input views."""
    return Context(
        view_dirs=np.asarray(optical_axes(cameras)),
        view_centers=camera_centers(cameras),
        branch=np.int32(0),
    )


def make_trainer(
    config: ConfigDict,
    num_views: int,
    grid: DensityGrid | None,
    devices: Sequence[jax.Device] | None = None,
) -> Trainer:
    """The trainer of a run; `devices` are local ones that share a step, None is all of them."""
    return Trainer(
        field=make_field(config, num_views),
        stages=stage_specs(config, num_views),
        spec=step_spec(config, num_views),
        loop=LoopSpec(config.loop.report_every, config.loop.checkpoint_every),
        sampler=grid,
        seed=config.seed,
        devices=tuple(devices or all_devices()),
    )


def make_scene(
    config: ConfigDict, views: ViewSet, devices: Sequence[jax.Device], photo: Photo | None = None
) -> Scene:
    """The training pixels and cameras, on the trainer's devices; the photo's are the last."""
    cameras = all_cameras(views, photo)
    context = make_context(cameras)
    scene = Scene(
        table=build_all_tables(views, photo.view if photo else None, config.sampling.near_px),
        cameras=cameras,
        context=context,
        background=np.asarray(views.background, np.float32),
        trust=view_trust(
            np.asarray(optical_axes(views.cameras)),
            views.input_axis,
            config.loss.trust,
            views.weights,
            photo.weight if photo else None,
        ),
    )
    return place(scene, tuple(devices))


def trained_field(
    config: ConfigDict,
    trainer: Trainer,
    stage: StageSpec,
    state: TrainState,
    cameras: Cameras,
    background: np.ndarray,
    mode: str = "",
) -> TrainedField:
    """The field of a stage's state; `mode` '' is the stage's own way to combine views."""
    return TrainedField(
        field=trainer.field,
        params=state.params,
        grid=state.sampler,
        context=make_context(cameras),
        cameras=cameras,
        background=background,
        levels=render_levels(config),
        mode=mode or RENDER_MODE[stage.mode],
        combined=config.stage3.combined,
        opaque=config.render.opaque,
    )


def later_programs(
    config: ConfigDict, trainer: Trainer, dataset: Dataset, perceptual: Lpips | None
) -> list[Job]:
    """What traces the programs of the work that follows training, see `compiling_ahead`."""
    views, cameras = dataset.truth or dataset.inputs, all_cameras(dataset.inputs, dataset.photo)
    turntable = config.render.turntable_size
    sizes = [(views.cameras.width, views.cameras.height), (turntable, turntable)]
    jobs: list[Job] = []

    @cache  # made by the first job that asks: training does not wait for it
    def field(stage: StageSpec) -> TrainedField:
        state, background = trainer.empty_state(stage.name), dataset.inputs.background
        return trained_field(config, trainer, stage, state, cameras, background)

    for stage in trainer.stages:
        last = stage is trainer.stages[-1]
        for size in dict.fromkeys(sizes[: 1 + last]):
            jobs.append(lambda stage=stage, size=size: field(stage).trace_render(*size))
        for directed in (False, True)[: 2 * last]:
            jobs.append(lambda stage=stage, directed=directed: field(stage).trace_query(directed))
    if dataset.truth is not None:
        one = views.images[:1], views.images[:1], views.names[:1], perceptual
        jobs.append(lambda: partial(score_views, *one))
    return jobs


def _positive(section: str, values: ConfigDict, *names: str) -> None:
    for name in names:
        if values[name] < 1:
            raise ValueError(f"{section}.{name}: expected at least 1, got {values[name]}")
