"""Zero-1-to-3: generates one novel view of the object in a photo.

Source: Liu et al. 2023 (arXiv:2303.11328).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.generation.autoencoder import posterior
from jaxvsnerf.generation.embeddings import relative_camera
from jaxvsnerf.generation.networks import cast, networks, precise, random_params, weights_dtype
from jaxvsnerf.generation.pictures import check_photo, decode, embed_photo
from jaxvsnerf.generation.schedule import Steps, ddim_steps, ddim_update
from jaxvsnerf.generation.spec import LATENT_CHANNELS, LATENT_SIZE, GeneratorSpec
from jaxvsnerf.types import Array, Params

LATENT = (LATENT_SIZE, LATENT_SIZE, LATENT_CHANNELS)


class Noise(NamedTuple):
    """The random numbers of N samples, standard normal.

    Attributes:
      initial: [N, 32, 32, 4] initial latents.
      steps: [S, N, 32, 32, 4] noise added at each step, including the last.
    """

    initial: Array
    steps: Array


def init_params(key: Array, spec: GeneratorSpec, dtype=jnp.float32) -> Params:
    """Draws untrained weights, see `networks.random_params`.

    Args:
      key: typed PRNG key.
      spec: sizes of the model.
      dtype: of every parameter.
    """
    return random_params(key, spec, "zero123", dtype)


def novel_steps(count: int, eta: float) -> Steps:
    """The denoising steps of a run: `ddim_steps` without the noisiest step, as in the original."""
    return Steps(*(column[1:] for column in ddim_steps(count, eta)))


def predict_noise(
    params: Params,
    x: Array,
    step: Array,
    latent: Array,
    context: Array,
    guidance: Array | None,
    spec: GeneratorSpec,
) -> Array:
    """Predicts the noise in N latents.

    Args:
      params: the model's parameters.
      x: [N, 32, 32, 4] noisy latents.
      step: [] diffusion step.
      latent: [32, 32, 4] the photo's unscaled latent, the mode of the autoencoder's posterior.
      context: [768] the photo's CLIP embedding combined with the novel camera.
      guidance: [] scale of classifier-free guidance; None equals 1 and skips the unconditional
        pass.
      spec: sizes of the model.

    Returns:
      [N, 32, 32, 4] float32.
    """
    x, latent, context = (y.astype(weights_dtype(params)) for y in (x, latent, context))
    photo = jnp.broadcast_to(latent, x.shape)
    given = jnp.concatenate([x, photo], -1)
    tokens = jnp.broadcast_to(context, (len(x), 1, len(context)))
    if guidance is not None:
        given = jnp.concatenate([given, jnp.concatenate([x, jnp.zeros_like(photo)], -1)])
        tokens = jnp.concatenate([tokens, jnp.zeros_like(tokens)])
    unet = networks(spec, "zero123")["unet"]
    noise = unet.apply({"params": params["unet"]}, given, jnp.reshape(step, (1,)), tokens)
    noise = noise.astype(jnp.float32)
    if guidance is None:
        return noise
    conditional, unconditional = jnp.split(noise, 2)
    return unconditional + guidance * (conditional - unconditional)


@functools.partial(jax.jit, static_argnames=("spec", "guided"))
def _views(
    params: Params,
    photo: Array,
    camera: Array,
    noise: Noise,
    steps: Steps,
    guidance: Array,
    spec: GeneratorSpec,
    guided: bool,
) -> Array:
    """Embeds the photo, denoises and decodes N samples: [N, 256, 256, 3] uint8."""
    with precise(params):
        moments, context = embed_photo(params, photo, camera[None], spec, "zero123")
        latent, _ = posterior(moments)

        def body(x: Array, given: tuple[Steps, Array]) -> tuple[Array, None]:
            step, added = given
            scale = guidance if guided else None
            found = predict_noise(params, x, step.index, latent, context[0], scale, spec)
            return ddim_update(x, found, added, step, 0.0), None

        x, _ = jax.lax.scan(body, noise.initial, (steps, noise.steps))
        return decode(params, x, 1, spec)


def sample(
    params: Params,
    photo: np.ndarray,
    camera: tuple[float, float, float],
    key: Array,
    *,
    spec: GeneratorSpec,
    num_samples: int = 1,
    steps: int = 50,
    guidance: float = 3.0,
    eta: float = 1.0,
    dtype=jnp.float32,
    noise: Noise | None = None,
) -> np.ndarray:
    """Samples a novel view of the object in a photo, N times.

    Args:
      params: the model's parameters, see `keys.params_from_state`.
      photo: [256, 256, 3] in [-1, 1], see `photo.prepare_photo`.
      camera: novel camera minus the photo's: polar angle (from the pole downwards) and azimuth
        in radians, distance to the object.
      key: typed PRNG key.
      spec: sizes of the model.
      num_samples: N, at least 1; all run in one batch.
      steps: DDIM steps, 2 to 1000, of which the noisiest is left out.
      guidance: scale of classifier-free guidance; 1 skips the unconditional pass, half the work.
      eta: share of fresh noise in DDIM, 0 to 1, see `ddim_steps`.
      dtype: of weights and products: float32, or bfloat16 for speed.
      noise: replaces the numbers drawn from the key.

    Returns:
      [N, 256, 256, 3] uint8.

    Raises:
      ValueError: an argument is out of the range stated above.
    """
    photo, table = check_photo(photo), novel_steps(steps, eta)
    if not np.all(np.isfinite((*camera, guidance))) or num_samples < 1 or steps < 2:
        raise ValueError(
            "expected finite camera differences and guidance, at least one sample and two steps; "
            f"got {camera}, {guidance}, {num_samples} and {steps}"
        )
    if noise is None:
        initial_key, steps_key = jax.random.split(key)
        shape = (num_samples, *LATENT)
        noise = Noise(
            jax.random.normal(initial_key, shape),
            jax.random.normal(steps_key, (len(table.index), *shape)),
        )
    params, camera = cast(params, dtype), relative_camera(*camera)
    guided = guidance != 1.0
    return np.asarray(
        _views(params, photo, camera, noise, table, np.float32(guidance), spec, guided)
    )
