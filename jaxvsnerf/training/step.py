"""The train step: several optimiser steps a dispatch, over the devices of all processes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxvsnerf.fields.build import Field
from jaxvsnerf.geometry.cameras import pixel_rays
from jaxvsnerf.rendering.grid import DensityGrid, update_grid
from jaxvsnerf.rendering.render import render_rays
from jaxvsnerf.rendering.sampling import Level
from jaxvsnerf.training.losses import LossSpec, total_loss
from jaxvsnerf.training.rays import RayTable, draw_rows
from jaxvsnerf.training.stages import RENDER_MODE, StageSpec, make_optimizer, split_trainable
from jaxvsnerf.types import Array, Cameras, Context, Params, Samples, TrainState

AXIS = "devices"
MAX_ELEMENTS = 2**31
NO_STEP = np.iinfo(np.int32).max


@dataclass(frozen=True)
class StepSpec:
    """What all stages share.

    Attributes:
      levels: where to sample.
      loss: what to minimise.
      background_share: share of the rays drawn away from the masks.
      grid_every: steps between two updates of the density grid.
      grid_cells: cells looked at in one.
      half_extent: half the side of the sampled cube.
    """

    levels: tuple[Level, ...]
    loss: LossSpec
    background_share: float
    grid_every: int
    grid_cells: int
    half_extent: float


@flax.struct.dataclass
class Scene:
    """What a stage reads and never changes; it lives on the devices.

    Attributes:
      table: the training pixels.
      cameras: of the V input views.
      context: of the field.
      background: [3].
    """

    table: RayTable
    cameras: Cameras
    context: Context
    background: Array


@flax.struct.dataclass
class StepMetrics:
    """Sums over the steps of one dispatch, equal on all devices.

    Attributes:
      loss: [] sum of the losses.
      mse: [] sum of the mean squared colour errors.
      bad_step: [] int32 first step whose loss was not finite, or NO_STEP.
    """

    loss: Array
    mse: Array
    bad_step: Array


def stream(key: Array, name: str) -> Array:
    """The child key of a named stream."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()) & 0x7FFFFFFF)


def density_function(
    field: Field, params: Params, context: Context, mode: str
) -> Callable[[Array], Array]:
    """points [..., 3] -> density [...] per cube side, without a direction."""

    def density(points: Array) -> Array:
        ones = jnp.ones((*points.shape[:-1], 1))
        samples = Samples(
            means=points[..., None, :],
            covs=None,
            t_edges=jnp.concatenate([0 * ones, ones], -1),
            lengths=ones,
            viewdirs=None,
        )
        return field.apply(params, samples, context, mode).optical_depth[..., 0]

    return density


def _grid_density(field: Field, params: Params, context: Context, mode: str) -> Callable:
    """Density for the grid: in stage 2 each branch answers for its share of the points."""
    if mode != "per_view":
        return density_function(field, params, context, RENDER_MODE[mode])
    per_view = density_function(field, params, context, mode)
    num_views = field.spec.num_views

    def density(points: Array) -> Array:
        padding = -points.shape[0] % num_views
        grouped = jnp.pad(points, ((0, padding), (0, 0))).reshape(-1, num_views, 3)
        answers = per_view(jnp.swapaxes(grouped, 0, 1))
        return jnp.swapaxes(answers, 0, 1).reshape(-1)[: points.shape[0]]

    return density


def token_mask(stage: StageSpec, num_views: int) -> Array | None:
    """[V, 1, V] bool which views the combiner may use for rays grouped by view."""
    if stage.token_mask == "none":
        return None
    return ~jnp.eye(num_views, dtype=bool)[:, None, :]


def check_sizes(field: Field, stage: StageSpec, spec: StepSpec, num_devices: int) -> None:
    """Raises ValueError where a step's largest tensor would have 2^31 elements or more.

    One matrix product over such a tensor crashed XLA on a GPU.
    """
    views = field.spec.num_views if stage.mode == "fused" else 1
    rays = rays_per_device(stage, field.spec.num_views, num_devices) * field.spec.num_views
    samples = max(level.num for level in spec.levels)
    for name, size in (
        (f"{stage.name}.rays", rays * samples * views * field.spec.width),
        ("sampling.grid_cells", spec.grid_cells * views * field.spec.width),
    ):
        if size >= MAX_ELEMENTS:
            raise ValueError(
                f"{name}: its largest tensor in {stage.name} has {size:.2g} elements, expected "
                f"fewer than 2^31; lower it by a factor of {size / MAX_ELEMENTS:.1f} or more"
            )


def rays_per_device(stage: StageSpec, num_views: int, num_devices: int) -> int:
    """Rays per view and device: the stage's rays in equal shares, rounded up."""
    return -(-stage.rays // (num_views * num_devices))


def train_step(
    state: TrainState,
    scene: Scene,
    key: Array,
    device: Array,
    *,
    field: Field,
    stage: StageSpec,
    spec: StepSpec,
    num_devices: int,
) -> tuple[TrainState, Array, Array]:
    """One optimiser step on this device's share of the rays.

    Args:
      state: of the stage.
      scene: pixels and cameras.
      key: PRNG key of the stage, the same on every device.
      device: [] int32 index of this device.
      field: the field.
      stage: the stage.
      spec: what stages share.
      num_devices: how many devices share the step.

    Returns:
      state, loss [], mse []: equal on all devices.
    """
    key = jax.random.fold_in(key, state.step)
    num_views = scene.context.view_dirs.shape[0]
    local = rays_per_device(stage, num_views, num_devices)
    # Everything is drawn for all devices and cut here, so that as long as the rays divide
    # evenly the number of devices does not change what is computed.
    rows = draw_rows(scene.table, stream(key, "rays"), local * num_devices, spec.background_share)
    rows = jax.lax.dynamic_slice_in_dim(rows, device * local, local, 1)
    keys = jax.random.split(stream(key, "jitter"), (num_views, local * num_devices))
    keys = jax.lax.dynamic_slice_in_dim(keys, device * local, local, 1)
    views = jnp.broadcast_to(jnp.arange(num_views)[:, None], rows.shape)
    rays = pixel_rays(scene.cameras, views, scene.table.pixels[rows], spec.half_extent)
    rgb = scene.table.rgb[rows]
    mask = scene.table.mask[rows] if scene.table.has_mask else None
    changing, frozen = split_trainable(state.params, stage.trainable)
    tokens = token_mask(stage, num_views)

    def loss_fn(changing: Params) -> tuple[Array, Array]:
        params = {**frozen, **changing}
        main = partial(
            field.apply, params, context=scene.context, mode=stage.mode, token_mask=tokens
        )
        renderings = render_rays(
            {"main": main}, rays, spec.levels, state.sampler, scene.background, keys
        )
        return total_loss(renderings, rgb, mask, spec.loss)

    (loss, mse), grads = jax.value_and_grad(loss_fn, has_aux=True)(changing)
    loss, mse, grads = jax.lax.pmean((loss, mse, grads), AXIS)
    # A finite loss can have gradients that are not: both must be, or the state is lost.
    loss = jnp.where(jnp.isfinite(optax.tree.norm(grads)), loss, jnp.nan)
    updates, opt_state = make_optimizer(stage).update(grads, state.opt_state, changing)
    params = {**frozen, **optax.apply_updates(changing, updates)}

    def refresh(grid: DensityGrid) -> DensityGrid:
        density = _grid_density(field, params, scene.context, stage.mode)
        return update_grid(grid, density, stream(key, "grid"), spec.grid_cells)

    sampler = state.sampler
    if sampler is not None:
        due = state.step % spec.grid_every == spec.grid_every - 1
        sampler = jax.lax.cond(due, refresh, lambda grid: grid, sampler)
    return (
        state.replace(step=state.step + 1, params=params, opt_state=opt_state, sampler=sampler),
        loss,
        mse,
    )


def make_train_steps(field: Field, stage: StageSpec, spec: StepSpec, devices: list) -> Callable:
    """The compiled step of a stage: one program for any number of steps.

    Returns:
      (state, scene, key, num_steps) -> (state, StepMetrics); the state is donated.
    """

    def run(state, scene, key, num_steps, device):
        def body(_, carry):
            state, metrics = carry
            step = state.step
            state, loss, mse = train_step(
                state,
                scene,
                key,
                device,
                field=field,
                stage=stage,
                spec=spec,
                num_devices=len(devices),
            )
            finite = jnp.isfinite(loss)
            return state, StepMetrics(
                loss=metrics.loss + loss,
                mse=metrics.mse + mse,
                bad_step=jnp.minimum(metrics.bad_step, jnp.where(finite, NO_STEP, step)),
            )

        # A loop whose length is an argument: every dispatch of a stage, the last and
        # shorter one and a resumed one too, is the same program and so the same bits.
        start = StepMetrics(jnp.zeros(()), jnp.zeros(()), jnp.asarray(NO_STEP, jnp.int32))
        return jax.lax.fori_loop(0, num_steps, body, (state, start))

    mapped = jax.pmap(
        run,
        axis_name=AXIS,
        in_axes=(None, None, None, None, 0),
        out_axes=None,
        donate_argnums=0,
        devices=devices,
    )
    # Each process feeds its own devices' part of the mapped axis.
    indices = np.flatnonzero([_is_here(device) for device in devices]).astype(np.int32)
    return lambda state, scene, key, num_steps: mapped(
        state, scene, key, np.int32(num_steps), indices
    )


def init_state(stage: StageSpec, params: Params, sampler: DensityGrid | None) -> TrainState:
    """The state a stage starts from."""
    changing, _ = split_trainable(params, stage.trainable)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=make_optimizer(stage).init(changing),
        sampler=sampler,
    )


def place(tree, devices: list):
    """Puts a pytree on all devices as the step returns it, so that one program serves.

    Of devices in several processes, each process fills its own.
    """
    mesh = jax.sharding.Mesh(np.asarray([d for d in devices if _is_here(d)]), (AXIS,))
    return jax.device_put(tree, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))


def _is_here(device: jax.Device) -> bool:
    return device.process_index == jax.process_index()
