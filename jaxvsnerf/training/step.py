"""The train step: several optimiser steps per dispatch, on the devices of all processes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxvsnerf.fields.build import Field
from jaxvsnerf.fields.neus import unit
from jaxvsnerf.fields.views import branch_spread
from jaxvsnerf.rendering.grid import DensityGrid, update_grid
from jaxvsnerf.rendering.program import Program
from jaxvsnerf.rendering.render import render_rays
from jaxvsnerf.rendering.sampling import graded
from jaxvsnerf.rendering.sparse import FieldFn, ask_heaviest, inside_support
from jaxvsnerf.training.batch import Batch, Scene, StepSpec, draw_batch, rays_per_device, stream
from jaxvsnerf.training.losses import total_loss
from jaxvsnerf.training.refresh import grid_density
from jaxvsnerf.training.smoothness import DISTANCE, spread_directions, with_roughness
from jaxvsnerf.training.stages import StageSpec, apply_updates, make_optimizer, split_trainable
from jaxvsnerf.training.terms import Outcome, TermsSpec
from jaxvsnerf.types import Array, Context, Params, Rendering, TrainState

AXIS = "devices"
NO_STEP = np.iinfo(np.int32).max  # stands for "no step" in StepMetrics.bad_step


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


def stage_context(context: Context, stage: StageSpec, step: Array) -> Context:
    """The field's context at a training step: what a stage changes while it goes on.

    Args:
      context: context of a finished training.
      stage: the stage; `coarse_to_fine` is the share of steps in which frequencies open,
        `cos_anneal` the share in which surfaces that face away count.
      step: [] int32 step of the stage.
    """

    def done(share: float) -> Array | None:
        return jnp.minimum(step / (share * stage.steps), 1.0) if share else None

    return context.replace(detail=done(stage.coarse_to_fine), cos_anneal=done(stage.cos_anneal))


def stage_field(
    field: Field,
    params: Params,
    context: Context,
    stage: StageSpec,
    grid: DensityGrid | None,
    smooth: bool,
) -> FieldFn:
    """The field function that a stage trains, for rays grouped by view.

    Choice: no roughness in mode fused, which keeps the shape of the stage before.

    Args:
      field: the field.
      params: parameters of the field.
      context: context of the field.
      stage: the stage.
      grid: density grid, or None; limits the samples that mode fused combines.
      smooth: whether the output has the extra `roughness`, see `with_roughness`.

    Returns:
      samples -> FieldOut.
    """
    own = None
    if stage.token_mask == "own":
        own = ~jnp.eye(field.spec.num_views, dtype=bool)[:, None, :]
    ask = partial(field.apply, params, context=context, mode=stage.mode, token_mask=own)
    if stage.mode != "fused":
        return with_roughness(ask) if smooth else ask
    if not stage.combined:
        return ask
    cheap = partial(field.apply, params, context=context, mode="average")
    if grid is not None:
        cheap = inside_support(cheap, grid)
    return ask_heaviest(ask, cheap, stage.combined)


def outcomes_of(
    renderings: tuple[Rendering, ...],
    batch: Batch,
    trust: Array,
    slopes: Callable[[Array], Array],
    terms: TermsSpec,
) -> list[Outcome]:
    """What the loss reads of each sampling level.

    Args:
      renderings: one Rendering per sampling level.
      batch: the rays.
      trust: weights of the rays.
      slopes: points [V, R, 3] -> [V, R, 3] gradients of the field's `surface`.
      terms: weights of the loss's terms.
    """
    gradients = slopes(batch.points) if batch.points is not None else None
    outcomes = []
    for rendering in renderings:
        seen = Outcome(rendering, batch.mask, trust, gradients)
        if terms.bend:
            t = jax.lax.stop_gradient(rendering.distance)[..., None]
            here = batch.rays.origins + t * batch.rays.directions
            aside = here + DISTANCE * spread_directions(here.shape[-2])
            seen = seen.replace(normals=(unit(slopes(here)), unit(slopes(aside))))
        outcomes.append(seen)
    return outcomes


def micro_gradients(
    loss_fn: Callable[[Params, Batch], tuple[Array, Array]],
    changing: Params,
    batch: Batch,
    parts: int,
) -> tuple[tuple[Array, Array], Params]:
    """Value and gradient of a mean over rays, accumulated over equal micro-batches.

    Args:
      loss_fn: (parameters, batch) -> loss [], mse [].
      changing: the parameters to differentiate.
      batch: [V, R] rays; R is a multiple of `parts`.
      parts: number of micro-batches; the device holds one micro-batch's activations at a time.

    Returns:
      (loss, mse), gradients: means over the micro-batches.
    """
    value_and_grad = jax.value_and_grad(loss_fn, has_aux=True)
    if parts == 1:
        return value_and_grad(changing, batch)

    def split(leaf: Array) -> Array:
        grouped = leaf.reshape(leaf.shape[0], parts, -1, *leaf.shape[2:])
        return jnp.moveaxis(grouped, 1, 0)

    def add(total, part):
        return jax.tree.map(jnp.add, total, value_and_grad(changing, part)), None

    parted = jax.tree.map(split, batch)
    zero = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
        jax.eval_shape(value_and_grad, changing, jax.tree.map(lambda leaf: leaf[0], parted)),
    )
    total, _ = jax.lax.scan(add, zero, parted)
    return jax.tree.map(lambda leaf: leaf / parts, total)


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
    micro_batches: int,
) -> tuple[TrainState, Array, Array]:
    """One optimiser step on this device's share of the rays.

    Args:
      state: state of the stage.
      scene: training data.
      key: PRNG key of the stage, the same on every device.
      device: [] int32 index of this device.
      field: the field.
      stage: the stage.
      spec: settings common to all stages.
      num_devices: number of devices that share the step.
      micro_batches: parts in which a device computes its gradient.

    Returns:
      state, loss [], mse []: equal on all devices.
    """
    key = jax.random.fold_in(key, state.step)
    local = rays_per_device(stage, field.spec.num_views, num_devices)
    batch = draw_batch(scene, key, device, local, num_devices, spec, state.sampler)
    changing, frozen = split_trainable(state.params, stage.trainable)
    context = stage_context(scene.context, stage, state.step)

    def loss_fn(changing: Params, part: Batch) -> tuple[Array, Array]:
        known = {**frozen, **changing}
        rough = spec.loss.terms.roughness > 0
        ask = stage_field(field, known, context, stage, state.sampler, rough)
        renderings = render_rays(
            ask, part.rays, spec.levels, state.sampler, scene.background, part.keys
        )
        slopes = partial(field.gradient, known, context=context, mode=stage.mode)
        renderings = renderings[graded(spec.levels)]
        outcomes = outcomes_of(renderings, part, scene.trust[:, None], slopes, spec.loss.terms)
        loss, mse = total_loss(outcomes, part.rgb, spec.loss)
        if stage.pull and "views" in changing:
            loss += stage.pull * branch_spread(changing["views"])
        return loss, mse

    (loss, mse), grads = micro_gradients(loss_fn, changing, batch, micro_batches)
    # As one vector: one all-reduce between devices, and an optimiser traced once instead of once
    # per leaf.
    flat, unravel = ravel_pytree(grads)
    loss, mse, flat = jax.lax.pmean((loss, mse, flat), AXIS)
    # A finite loss can have non-finite gradients, which would destroy the state as well.
    loss = jnp.where(jnp.isfinite(jnp.sum(flat**2)), loss, jnp.nan)
    updates, opt_state = make_optimizer(stage).update(flat, state.opt_state)
    params = {**frozen, **apply_updates(stage, changing, unravel(updates))}
    sampler = state.sampler
    if sampler is not None:
        density = partial(grid_density, field, params, context, stage)
        sampler = _refreshed(sampler, density, key, state.step, spec)
    state = state.replace(step=state.step + 1, params=params, opt_state=opt_state, sampler=sampler)
    return state, loss, mse


def _refreshed(
    grid: DensityGrid,
    make_density: Callable[[], Callable[[Array], Array]],
    key: Array,
    step: Array,
    spec: StepSpec,
) -> DensityGrid:
    """The density grid after a step: some cells are asked again every `spec.grid_every` steps."""

    def refresh(grid: DensityGrid) -> DensityGrid:
        return update_grid(grid, make_density(), stream(key, "grid"), spec.grid_cells)

    due = step % spec.grid_every == spec.grid_every - 1
    return jax.lax.cond(due, refresh, lambda grid: grid, grid)


@cache  # runs of the same shape in one process share the compiled program
def make_train_steps(
    field: Field,
    stage: StageSpec,
    spec: StepSpec,
    devices: tuple[jax.Device, ...],
    micro_batches: int = 1,
) -> Program:
    """The compiled train step of a stage: one program for any number of steps.

    Args:
      field: the field.
      stage: the stage.
      spec: settings common to all stages.
      devices: the devices that share a step.
      micro_batches: parts in which a device computes its gradient, see `Trainer.micro_batches`.

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
                micro_batches=micro_batches,
            )
            finite = jnp.isfinite(loss)
            return state, StepMetrics(
                loss=metrics.loss + loss,
                mse=metrics.mse + mse,
                bad_step=jnp.minimum(metrics.bad_step, jnp.where(finite, NO_STEP, step)),
            )

        # The number of steps is an argument: all dispatches of a stage, also the shorter last one
        # and those of a resumed run, use the same program and so give the same bits.
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
    # Each process passes the indices of its own devices along the mapped axis.
    indices = np.flatnonzero([_is_here(device) for device in devices]).astype(np.int32)
    return Program(
        mapped,
        lambda state, scene, key, num_steps: (state, scene, key, np.int32(num_steps), indices),
    )


def init_state(stage: StageSpec, params: Params, sampler: DensityGrid | None) -> TrainState:
    """The initial state of a stage.

    Args:
      stage: the stage.
      params: initial parameters of all groups.
      sampler: initial density grid, or None.
    """
    changing, _ = split_trainable(params, stage.trainable)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=make_optimizer(stage).init(ravel_pytree(changing)[0]),
        sampler=sampler,
    )


def place(tree, devices: tuple[jax.Device, ...]):
    """Copies a pytree to all devices, in the placement that the train step returns.

    Equal placement lets one program serve the first and all later dispatches. With several
    processes, each process copies to its own devices.
    """
    mesh = jax.sharding.Mesh(np.asarray([d for d in devices if _is_here(d)]), (AXIS,))
    return jax.device_put(tree, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))


def _is_here(device: jax.Device) -> bool:
    return device.process_index == jax.process_index()
