"""SyncDreamer's noise prediction: every view is conditioned on one shared spatial volume.

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
    """The conditioning of the V target views, all 16 or a batch of them.

    Attributes:
      latent: [32, 32, 4] the photo's unscaled latent, a sample of the autoencoder's posterior.
      context: [V, 768] the photo's CLIP embedding combined with each view's viewpoint.
      viewpoint: [V, 4] target viewpoints relative to the photo's, see `embeddings.viewpoints`.
    """

    latent: Array
    context: Array
    viewpoint: Array


def embed_step(params: Params, steps: Array, spec: GeneratorSpec) -> Array:
    """Embeds diffusion steps for the volume networks.

    Args:
      params: the model's parameters.
      steps: [N] indices of the 1000 diffusion steps.
      spec: sizes of the model.

    Returns:
      [N, 256], of the weights' dtype.
    """
    net = networks(spec)["time_embed"]
    time = net.apply({"params": params["time_embed"]}, sinusoid(steps, TIME_DIM))
    return time.astype(weights_dtype(params))


def spatial_volume(
    params: Params, x: Array, time: Array, viewpoint: Array, pixels: Array, spec: GeneratorSpec
) -> Array:
    """Fuses the features of all views into the spatial volume.

    Args:
      params: the model's parameters.
      x: [16, 32, 32, 4] noisy latents.
      time: [1, 256] embedding of the step.
      viewpoint: [16, 4] target viewpoints relative to the photo's.
      pixels: [16, 32, 32, 32, 2] sampling positions, see `Views`.
      spec: sizes of the model.

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
    """Resamples the spatial volume in the frusta of V views, see `FrustumNet`.

    Args:
      params: the model's parameters.
      volume: [32, 32, 32, C].
      time: [1, 256] embedding of the step.
      viewpoint: [V, 4] target viewpoints relative to the photo's.
      voxels: [V, 48, 32, 32, 3] sampling positions, see `Views`.
      spec: sizes of the model.

    Returns:
      Frustum features of four resolutions, keyed by their width in pixels.
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
    """Predicts the noise in V views, given the spatial volume.

    Args:
      params: the model's parameters.
      volume: [32, 32, 32, C] spatial volume of all views at this step.
      x: [V, 32, 32, 4] noisy latents.
      step: [] diffusion step.
      condition: conditioning of these V views.
      voxels: [V, 48, 32, 32, 3] sampling positions, see `Views`.
      guidance: [] scale of classifier-free guidance; None equals 1 and skips the unconditional
        pass.
      spec: sizes of the model.

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
        # The unconditional half has zero frusta: `frusta` covers the first half only.
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
    """Predicts the noise in all 16 views.

    Args:
      params: the model's parameters.
      x: [16, 32, 32, 4] noisy latents.
      step: [] diffusion step.
      condition: conditioning of the 16 views.
      views: sampling positions of volume and frusta.
      guidance: as in `predict_views`.
      view_batch: views per UNet call, a divisor of 16.
      spec: sizes of the model.

    Returns:
      [16, 32, 32, 4] float32.
    """
    time = embed_step(params, jnp.reshape(step, (1,)), spec)
    volume = spatial_volume(params, x, time, condition.viewpoint, views.pixels, spec)

    def predict_batch(given: tuple[Array, Array, Array, Array]) -> Array:
        x, context, viewpoint, voxels = given
        batch = Condition(condition.latent, context, viewpoint)
        return predict_views(params, volume, x, step, batch, voxels, guidance, spec)

    given = (x, condition.context, condition.viewpoint, views.voxels)
    batches = jax.tree.map(lambda y: y.reshape(-1, view_batch, *y.shape[1:]), given)
    return jax.lax.map(predict_batch, batches).reshape(x.shape)
