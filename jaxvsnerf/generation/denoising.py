"""The noise that SyncDreamer finds in its views, all of them conditioned on one volume.

Source: Liu et al. 2023 (arXiv:2309.03453).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxvsnerf.generation.embeddings import sinusoid
from jaxvsnerf.generation.geometry import Views, interpolate
from jaxvsnerf.generation.networks import networks, weights_dtype
from jaxvsnerf.generation.spec import TIME_DIM, GeneratorSpec
from jaxvsnerf.generation.volume import unproject
from jaxvsnerf.types import Array, Params


class Condition(NamedTuple):
    """What the views are made from.

    Attributes:
      latent: [32, 32, 4] of the photo, unscaled; a random sample of the autoencoder's posterior.
      context: [16, 768] the photo's embedding with each target view.
      viewpoint: [16, 4] target views relative to the photo's.
    """

    latent: Array
    context: Array
    viewpoint: Array


def embed_step(params: Params, steps: Array, spec: GeneratorSpec) -> Array:
    """The volumes' embedding [N, 256] of diffusion steps [N]."""
    net = networks(spec)["time_embed"]
    time = net.apply({"params": params["time_embed"]}, sinusoid(steps, TIME_DIM))
    return time.astype(weights_dtype(params))


def spatial_volume(
    params: Params, x: Array, time: Array, viewpoint: Array, pixels: Array, spec: GeneratorSpec
) -> Array:
    """What all views say about the space round the object.

    Args:
      params: of the model.
      x: [16, 32, 32, 4] noisy latents.
      time: [1, 256] embedding of the step.
      viewpoint: [16, 4].
      pixels: of `Views`.
      spec: widths.

    Returns:
      [32, 32, 32, C].
    """
    nets, variables = networks(spec), {"params": params["target_encoder"]}
    x, viewpoint = x.astype(time.dtype), viewpoint.astype(time.dtype)
    features = nets["target_encoder"].apply(variables, x, time, viewpoint)
    volume = unproject(features, pixels)[None]
    return nets["spatial_net"].apply({"params": params["spatial_net"]}, volume, time)[0]


def view_frusta(
    params: Params, volume: Array, time: Array, viewpoint: Array, voxels: Array, spec: GeneratorSpec
) -> dict[int, Array]:
    """The volume as V views see it, see `FrustumNet`.

    Args:
      params: of the model.
      volume: [32, 32, 32, C].
      time: [1, 256] embedding of the step.
      viewpoint: [V, 4].
      voxels: [V, 48, 32, 32, 3] of `Views`.
      spec: widths.
    """
    samples = interpolate(volume, voxels)
    net = networks(spec)["frustum_net"]
    return net.apply({"params": params["frustum_net"]}, samples, time, viewpoint)


def predict_views(
    params: Params,
    volume: Array,
    x: Array,
    step: Array,
    condition: Condition,
    voxels: Array,
    guidance: Array | None,
    spec: GeneratorSpec,
) -> Array:
    """The noise in V views.

    Args:
      params: of the model.
      volume: [32, 32, 32, C] of all views at this step.
      x: [V, 32, 32, 4] noisy latents.
      step: [] diffusion step.
      condition: what these views are made from.
      voxels: [V, 48, 32, 32, 3] of `Views`.
      guidance: how far to go from the unconditional noise to the conditional and beyond;
        None is 1, without the unconditional.
      spec: widths.

    Returns:
      [V, 32, 32, 4] float32.
    """
    step, dtype = jnp.reshape(step, (1,)), weights_dtype(params)
    x, condition = x.astype(dtype), jax.tree.map(lambda y: y.astype(dtype), condition)
    time = embed_step(params, step, spec)
    frusta = view_frusta(params, volume, time, condition.viewpoint, voxels, spec)
    photo = jnp.broadcast_to(condition.latent, x.shape)
    given, context = jnp.concatenate([x, photo], -1), condition.context[:, None]
    if guidance is not None:
        # Frusta are of the first half alone: those of the second are zero.
        given = jnp.concatenate([given, jnp.concatenate([x, jnp.zeros_like(photo)], -1)])
        context = jnp.concatenate([context, jnp.zeros_like(context)])
    unet = networks(spec)["unet"]
    noise = unet.apply({"params": params["unet"]}, given, step, context, frusta)
    noise = noise.astype(jnp.float32)
    if guidance is None:
        return noise
    conditional, unconditional = jnp.split(noise, 2)
    return unconditional + guidance * (conditional - unconditional)


def predict_noise(
    params: Params,
    x: Array,
    step: Array,
    condition: Condition,
    views: Views,
    guidance: Array | None,
    view_batch: int,
    spec: GeneratorSpec,
) -> Array:
    """The noise in all views [16, 32, 32, 4] float32, so many at a time; see `predict_views`."""
    time = embed_step(params, jnp.reshape(step, (1,)), spec)
    volume = spatial_volume(params, x, time, condition.viewpoint, views.pixels, spec)

    def some(given: tuple[Array, Array, Array, Array]) -> Array:
        x, context, viewpoint, voxels = given
        theirs = Condition(condition.latent, context, viewpoint)
        return predict_views(params, volume, x, step, theirs, voxels, guidance, spec)

    given = (x, condition.context, condition.viewpoint, views.voxels)
    batches = jax.tree.map(lambda y: y.reshape(-1, view_batch, *y.shape[1:]), given)
    return jax.lax.map(some, batches).reshape(x.shape)
