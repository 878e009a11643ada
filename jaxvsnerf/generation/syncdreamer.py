"""SyncDreamer: generates 16 views of the object in one photo, denoised jointly.

Source: Liu et al. 2023 (arXiv:2309.03453).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.generation.autoencoder import posterior
from jaxvsnerf.generation.denoising import Condition, predict_noise
from jaxvsnerf.generation.embeddings import viewpoints
from jaxvsnerf.generation.geometry import Views, target_views
from jaxvsnerf.generation.networks import cast, precise, random_params
from jaxvsnerf.generation.pictures import check_photo, decode, embed_photo
from jaxvsnerf.generation.schedule import Steps, ddim_steps, ddim_update
from jaxvsnerf.generation.spec import LATENT_CHANNELS, LATENT_SIZE, NUM_VIEWS, GeneratorSpec
from jaxvsnerf.types import Array, Params

# Least variance of the predicted noise that remains after a DDIM step.
FLOOR = 1e-7
# Most denoising steps per call of a program; progress is reported between calls.
MAX_CALL_STEPS = 10
LATENT = (LATENT_SIZE, LATENT_SIZE, LATENT_CHANNELS)


class Noise(NamedTuple):
    """The random numbers of one sample, standard normal.

    Attributes:
      posterior: [32, 32, 4] noise of the photo's latent.
      initial: [16, 32, 32, 4] initial latents.
      steps: [S, 16, 32, 32, 4] noise added at each step; the last step's is not used.
    """

    posterior: Array
    initial: Array
    steps: Array


def init_params(key: Array, spec: GeneratorSpec, dtype=jnp.float32) -> Params:
    """Draws untrained weights, see `networks.random_params`.

    Args:
      key: typed PRNG key.
      spec: sizes of the model.
      dtype: of every parameter.
    """
    return random_params(key, spec, "syncdreamer", dtype)


def draw_noise(key: Array, count: int) -> Noise:
    """Draws the random numbers of a sample of `count` denoising steps."""
    posterior_key, initial_key, steps_key = jax.random.split(key, 3)
    return Noise(
        jax.random.normal(posterior_key, LATENT),
        jax.random.normal(initial_key, (NUM_VIEWS, *LATENT)),
        jax.random.normal(steps_key, (count, NUM_VIEWS, *LATENT)),
    )


class Programs(NamedTuple):
    """Compiled functions of a model; each of D devices holds one sample.

    Attributes:
      embed: (params, photo, elevation) -> moments [32, 32, 8], context and viewpoint as in
        `Condition`.
      advance: (params, views, condition, x, steps, noise, guidance) -> latents x
        [D, 16, 32, 32, 4] after these steps; condition.latent, x and noise have a leading axis D.
      decode: (params, x) -> pictures [D, 16, 256, 256, 3] uint8.
    """

    embed: Callable
    advance: Callable
    decode: Callable


@functools.cache
def programs(
    spec: GeneratorSpec, view_batch: int, guided: bool, devices: tuple[jax.Device, ...]
) -> Programs:
    """The programs of sampling, each compiled once per dtype and number of steps per call.

    Args:
      spec: sizes of the model.
      view_batch: views per UNet call, a divisor of 16.
      guided: whether classifier-free guidance is used; False skips the unconditional pass.
      devices: D devices, each of which samples on its own.
    """

    def embed(params: Params, photo: Array, elevation: Array) -> tuple[Array, Array, Array]:
        with precise(params):
            viewpoint = viewpoints(elevation)
            return *embed_photo(params, photo, viewpoint, spec, "syncdreamer"), viewpoint

    def advance(
        params: Params,
        views: Views,
        condition: Condition,
        x: Array,
        steps: Steps,
        noise: Array,
        guidance: Array,
    ) -> Array:
        def body(x: Array, given: tuple[Steps, Array]) -> tuple[Array, None]:
            step, added = given
            scale = guidance if guided else None
            found = predict_noise(params, x, step.index, condition, views, scale, view_batch, spec)
            return ddim_update(x, found, added, step, FLOOR), None

        with precise(params):
            return jax.lax.scan(body, x, (steps, noise))[0]

    def pictures(params: Params, x: Array) -> Array:
        with precise(params):
            return decode(params, x, view_batch, spec)

    # Choice: pmap as in training; each device has its own sample, so devices exchange no data.
    axes = (None, None, Condition(0, None, None), 0, None, 0, None)
    return Programs(
        jax.jit(embed),
        jax.pmap(advance, in_axes=axes, devices=devices),
        jax.pmap(pictures, in_axes=(None, 0), devices=devices),
    )


def sample(
    params: Params,
    photo: np.ndarray,
    elevation_rad: float,
    key: Array,
    *,
    spec: GeneratorSpec,
    num_samples: int = 1,
    steps: int = 50,
    guidance: float = 2.0,
    eta: float = 1.0,
    view_batch: int = 8,
    dtype=jnp.float32,
    devices: Sequence[jax.Device] | None = None,
    noise: Noise | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Samples sets of 16 views of the object in a photo.

    View k has azimuth 22.5 k degrees, relative to the photo's, and elevation 30 degrees. A sample
    depends only on the key and the sample's number, up to rounding, not on the number of samples
    or the devices.

    Args:
      params: the model's parameters, see `keys.params_from_state`.
      photo: [256, 256, 3] in [-1, 1], see `photo.prepare_photo`.
      elevation_rad: elevation of the photo's camera, within +-pi/2, positive from above.
      key: typed PRNG key.
      spec: sizes of the model.
      num_samples: N, at least 1.
      steps: DDIM steps, 1 to 1000.
      guidance: scale of classifier-free guidance; 1 skips the unconditional pass, half the work.
      eta: share of fresh noise in DDIM, 0 to 1, see `ddim_steps`.
      view_batch: views per UNet call, a divisor of 16; changes memory, not results.
      dtype: of weights and products: float32, or bfloat16 for speed.
      devices: each runs one sample at a time; None means all local devices.
      noise: replaces the numbers drawn from the key; arrays with a leading axis [N].
      on_step: called after each program call with (steps done, total steps).

    Returns:
      [N, 16, 256, 256, 3] uint8.

    Raises:
      ValueError: an argument is out of the range stated above.
    """
    photo, table = check_photo(photo), ddim_steps(steps, eta)
    _check(elevation_rad, num_samples, guidance, view_batch)
    devices = tuple(devices or jax.local_devices())[:num_samples]
    count = len(table.index)
    noise = noise or _noise(key, num_samples, count)
    run = programs(spec, view_batch, guidance != 1.0, devices)
    params, views = place((cast(params, dtype), target_views()), devices)
    # The embedding goes through the host, from where every device receives a copy.
    moments, *known = jax.device_get(run.embed(params, photo, np.float32(elevation_rad)))
    mean, deviation = posterior(moments)

    found, rounds = [], range(0, num_samples, len(devices))
    for index, first in enumerate(rounds):
        # Devices left over in the last round repeat the last sample.
        chosen = np.minimum(first + np.arange(len(devices)), num_samples - 1)
        condition = Condition(mean + deviation * noise.posterior[chosen], *known)
        x, added = noise.initial[chosen], noise.steps[chosen].at[:, -1].set(0.0)
        for now in _parts(count):
            part = Steps(*(column[now] for column in table))
            x = run.advance(params, views, condition, x, part, added[:, now], np.float32(guidance))
            if on_step:
                jax.block_until_ready(x)
                on_step(index * count + now.stop, count * len(rounds))
        found.append(run.decode(params, x))
    return np.concatenate([np.asarray(pictures) for pictures in found])[:num_samples]


def _parts(count: int) -> list[slice]:
    """The steps of each call of a program, of `count` steps in all."""
    size = steps_per_call(count)
    return [slice(start, start + size) for start in range(0, count, size)]


def _noise(key: Array, num_samples: int, count: int) -> Noise:
    """The noise of N samples with `count` steps each; a sample's noise follows its number."""
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(np.arange(num_samples))
    return jax.jit(jax.vmap(lambda key: draw_noise(key, count)))(keys)


def steps_per_call(count: int) -> int:
    """Steps per program call: a divisor of `count`, so that one program serves every call."""
    return max(n for n in range(1, MAX_CALL_STEPS + 1) if count % n == 0)


def place(tree: Any, devices: tuple[jax.Device, ...]) -> Any:
    """Copies a whole pytree to every device."""
    mesh = jax.sharding.Mesh(np.asarray(devices), ("samples",))
    return jax.device_put(tree, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))


def _check(elevation_rad: float, num_samples: int, guidance: float, view_batch: int) -> None:
    if not -np.pi / 2 <= elevation_rad <= np.pi / 2:
        raise ValueError(f"expected an elevation within +-pi/2 radians, got {elevation_rad}")
    if num_samples < 1 or not np.isfinite(guidance):
        raise ValueError(
            f"expected at least one sample and a finite guidance, got {num_samples} and {guidance}"
        )
    if view_batch < 1 or NUM_VIEWS % view_batch:
        raise ValueError(f"expected view_batch to divide {NUM_VIEWS}, got {view_batch}")
