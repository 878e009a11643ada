"""From a config and pictures to the parts of a run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxvsnerf.config.resolve import render_levels, stage_specs, step_spec
from jaxvsnerf.errors import InputError
from jaxvsnerf.fields.build import Field, FieldSpec, build_field
from jaxvsnerf.fields.hashgrid import HashSpec
from jaxvsnerf.geometry.cameras import HALF_EXTENT, camera_centers, optical_axes
from jaxvsnerf.geometry.hull import dilate_masks, grid_centers, visual_hull
from jaxvsnerf.metrics.lpips import Lpips
from jaxvsnerf.metrics.scores import score_views
from jaxvsnerf.preprocess.photo_view import all_cameras
from jaxvsnerf.rendering.grid import DensityGrid, init_grid
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.run.references import References, read_perceptual, read_true_surface
from jaxvsnerf.training.ahead import Job
from jaxvsnerf.training.batch import Scene
from jaxvsnerf.training.processes import all_devices
from jaxvsnerf.training.rays import build_all_tables
from jaxvsnerf.training.stages import RENDER_MODE, StageSpec
from jaxvsnerf.training.step import place
from jaxvsnerf.training.trainer import LoopSpec, Trainer
from jaxvsnerf.training.trust import view_trust
from jaxvsnerf.types import Cameras, Context, Dataset, Photo, Surface, TrainState, ViewSet

# The hull's cells start with this density: a ray through a third of the cube is then
# neither free nor blocked.
START_DENSITY = 5.0


def make_field(config: ConfigDict, num_views: int) -> Field:
    """The field of a resolved config."""
    values = {**config.field, "hash_grid": HashSpec(**config.field.hash_grid)}
    return build_field(FieldSpec(num_views=num_views, half_extent=HALF_EXTENT, **values))


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
        raise InputError(
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
