"""Pictures to latents and context tokens, and latents back to pictures."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.generation.autoencoder import Autoencoder
from jaxvsnerf.generation.clip import clip_input
from jaxvsnerf.generation.networks import Model, networks, weights_dtype
from jaxvsnerf.generation.spec import IMAGE_SIZE, LATENT_SCALE, GeneratorSpec
from jaxvsnerf.types import Array, Params


def check_photo(photo: np.ndarray) -> np.ndarray:
    """Checks a prepared photo and returns the photo as float32.

    Raises:
      ValueError: the photo is not [256, 256, 3] in [-1, 1].
    """
    photo = np.asarray(photo, np.float32)
    if photo.shape != (IMAGE_SIZE, IMAGE_SIZE, 3) or not np.all(np.abs(photo) <= 1.0):
        raise ValueError(
            f"expected a prepared photo [{IMAGE_SIZE}, {IMAGE_SIZE}, 3] within [-1, 1]; got "
            f"{list(photo.shape)} within [{photo.min(initial=0):.3g}, {photo.max(initial=0):.3g}]"
        )
    return photo


def embed_photo(
    params: Params, photo: Array, cameras: Array, spec: GeneratorSpec, model: Model
) -> tuple[Array, Array]:
    """Encodes a photo with the VAE, and with CLIP for each target view.

    Args:
      params: the model's parameters.
      photo: [256, 256, 3] in [-1, 1].
      cameras: [V, 4] target viewpoints relative to the photo's, see `embeddings`.
      spec: sizes of the model.
      model: the model that the parameters are of.

    Returns:
      Moments of the latent [32, 32, 8], see `autoencoder.posterior`, and context [V, 768].
    """
    nets, dtype = networks(spec, model), weights_dtype(params)
    images = photo[None]
    variables = {"params": params["autoencoder"]}
    moments = nets["autoencoder"].apply(variables, images.astype(dtype), method=Autoencoder.encode)[
        0
    ]
    embedded = nets["clip"].apply({"params": params["clip"]}, clip_input(images).astype(dtype))
    tokens = jnp.broadcast_to(embedded, (len(cameras), embedded.shape[-1]))
    tokens = jnp.concatenate([tokens, cameras.astype(dtype)], -1)
    return moments, nets["cc_projection"].apply({"params": params["cc_projection"]}, tokens)


def decode(params: Params, latents: Array, batch: int, spec: GeneratorSpec) -> Array:
    """Decodes latents to pictures.

    Args:
      params: the model's parameters.
      latents: [V, 32, 32, 4], scaled by `spec.LATENT_SCALE`.
      batch: pictures per call of the decoder, a divisor of V.
      spec: sizes of the model.

    Returns:
      [V, 256, 256, 3] uint8.
    """
    net, variables = Autoencoder(spec.autoencoder_width), {"params": params["autoencoder"]}
    latents = (latents / LATENT_SCALE).astype(weights_dtype(params))

    def decode_batch(latents: Array) -> Array:
        images = net.apply(variables, latents, method=Autoencoder.decode).astype(jnp.float32)
        # Choice: truncated instead of rounded, as in the original.
        return (127.5 * (jnp.clip(images, -1.0, 1.0) + 1.0)).astype(jnp.uint8)

    batches = latents.reshape(-1, batch, *latents.shape[1:])
    pictures = jax.lax.map(decode_batch, batches)
    return pictures.reshape(-1, *pictures.shape[2:])
