"""Builds the parts of a run (field, grid, trainer, scene) from a config and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxvsnerf.config import resolve
from jaxvsnerf.fields.build import Field, build_field
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
from jaxvsnerf.training.trainer import Trainer
from jaxvsnerf.training.trust import view_trust
from jaxvsnerf.types import (
    Cameras,
    Context,
    Dataset,
    Photo,
    Similarity,
    Surface,
    TrainState,
    ViewSet,
)

# Initial density of the hull's cells. A ray through a third of the cube is then neither free nor
# blocked.
START_DENSITY = 5.0


def make_field(config: ConfigDict, num_views: int) -> Field:
    """Builds the field of a resolved config."""
    return build_field(resolve.field_spec(config, num_views))


def make_grid(config: ConfigDict, views: ViewSet | None) -> DensityGrid | None:
    """Builds the initial density grid: the masks' hull, or a full grid without masks.

    Args:
      config: the config.
      views: the input views; None gives a full grid as a template of the shapes.

    Returns:
      The grid, or None if the sampling uses no grid.
    """
    spec = resolve.grid_spec(config)
    if spec is None:
        return None
    support = np.ones((spec.grid_resolution,) * 3, bool)
    if views is not None and views.masks is not None:
        points = grid_centers(spec.grid_resolution, HALF_EXTENT)
        masks = dilate_masks(views.masks, spec.hull_dilate_px)
        outside = int(spec.hull_outside * len(masks))
        if views.weights is not None:
            masks = np.where(views.weights[:, None, None] > 0, masks, 1.0)
            outside = int(spec.hull_outside * np.sum(views.weights > 0))
        support = np.asarray(visual_hull(points, views.cameras, masks, outside, True))
    return init_grid(support, START_DENSITY, HALF_EXTENT)


def load_references(config: ConfigDict, dataset: Dataset) -> References:
    """Loads the references of scoring, see `References`."""
    surface = load_true_surface(config, dataset.to_cube)
    return References(load_perceptual(config, dataset), surface)


def load_perceptual(config: ConfigDict, dataset: Dataset) -> Lpips | None:
    """Loads network and weights of LPIPS, see `read_perceptual`."""
    return read_perceptual(config.metrics.lpips, dataset)


def load_true_surface(config: ConfigDict, to_cube: Similarity) -> Surface | None:
    """Loads the true geometry, see `read_true_surface`."""
    return read_true_surface(config.data.mesh, to_cube)


def make_context(cameras: Cameras) -> Context:
    """Centres and directions of the input cameras, as the field takes them."""
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
    """Builds the trainer of a run.

    Args:
      config: a resolved config.
      num_views: V, the photo included.
      grid: the initial density grid, see `make_grid`.
      devices: local devices that share a step; None takes all devices.
    """
    return Trainer(
        field=make_field(config, num_views),
        stages=resolve.stage_specs(config, num_views),
        spec=resolve.step_spec(config, num_views),
        loop=resolve.loop_spec(config),
        sampler=grid,
        seed=resolve.seed_spec(config).seed,
        devices=tuple(devices or all_devices()),
    )


def make_scene(
    config: ConfigDict, views: ViewSet, devices: Sequence[jax.Device], photo: Photo | None = None
) -> Scene:
    """Places training pixels and cameras on the trainer's devices.

    Args:
      config: a resolved config.
      views: the input views.
      devices: the trainer's devices.
      photo: the photo, which becomes the last view; None without a photo.
    """
    cameras = all_cameras(views, photo)
    # The table has every picture's own pixels, so each camera keeps its picture's own K.
    own = [views.cameras, photo.view.cameras] if photo else [views.cameras]
    cameras = cameras.replace(intrinsics=np.concatenate([one.intrinsics for one in own]))
    context, near_px = make_context(cameras), resolve.table_spec(config).near_px
    scene = Scene(
        table=build_all_tables(views, photo.view if photo else None, near_px),
        cameras=cameras,
        context=context,
        background=np.asarray(views.background, np.float32),
        trust=view_trust(
            np.asarray(optical_axes(views.cameras)),
            views.input_axis,
            resolve.trust_spec(config).trust,
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
    photo: Cameras | None = None,
) -> TrainedField:
    """Builds the trained field of a stage.

    Args:
      config: a resolved config.
      trainer: the trainer of the run.
      stage: the stage.
      state: the stage's state.
      cameras: cameras of the branches, in the order of the branches.
      background: [3].
      mode: how views are combined; '' takes the stage's own mode.
      photo: the photo's camera with the photo's picture size, None without a photo.
    """
    return TrainedField(
        field=trainer.field,
        params=state.params,
        grid=state.sampler,
        context=make_context(cameras),
        cameras=cameras,
        background=background,
        levels=resolve.render_levels(config),
        mode=mode or RENDER_MODE[stage.mode],
        combined=config.stage3.combined,
        opaque=resolve.render_spec(config).opaque,
        photo=photo,
    )


def later_programs(
    config: ConfigDict, trainer: Trainer, dataset: Dataset, perceptual: Lpips | None
) -> list[Job]:
    """Returns jobs that trace the programs used after training, see `compiling_ahead`.

    Args:
      config: a resolved config.
      trainer: the trainer of the run.
      dataset: pictures of the run; their sizes determine the programs.
      perceptual: network and weights of LPIPS, or None.
    """
    views, cameras = dataset.truth or dataset.inputs, all_cameras(dataset.inputs, dataset.photo)
    turntable = config.render.turntable_size
    sizes = [(views.cameras.width, views.cameras.height), (turntable, turntable)]
    jobs: list[Job] = []

    @cache  # the first job builds the field, so that training does not wait for it
    def field(stage: StageSpec) -> TrainedField:
        state, background = trainer.empty_state(stage.name), dataset.inputs.background
        return trained_field(config, trainer, stage, state, cameras, background)

    for stage in trainer.stages:
        last = stage is trainer.stages[-1]
        for size in dict.fromkeys(sizes[: 1 + last]):
            jobs.append(lambda stage=stage, size=size: field(stage).trace_render(*size))
    jobs.append(lambda: field(trainer.stages[-1]).trace_surface())
    jobs.append(lambda: field(trainer.stages[-1]).trace_query())
    if dataset.truth is not None:
        one = views.images[:1], views.images[:1], views.names[:1], perceptual
        jobs.append(lambda: partial(score_views, *one))
    return jobs
