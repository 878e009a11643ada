"""SyncDreamer: 16 views of the object in one photo, denoised together.

Source: Liu et al. 2023 (arXiv:2309.03453).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.generation.autoencoder import posterior
from jaxvsnerf.generation.denoising import Condition, predict_noise
from jaxvsnerf.generation.embeddings import viewpoints
from jaxvsnerf.generation.geometry import Views, target_views
from jaxvsnerf.generation.networks import cast, precise, random_params
from jaxvsnerf.generation.pictures import check_photo, decode, embed_photo
from jaxvsnerf.generation.schedule import Steps, ddim_steps, ddim_update
from jaxvsnerf.generation.spec import LATENT_CHANNELS, LATENT_SIZE, NUM_VIEWS, GeneratorSpec
from jaxvsnerf.types import Array, Params

# Least variance that DDIM leaves to the predicted noise.
FLOOR = 1e-7
# Steps that one call of a program takes at most, between which progress is reported.
MAX_CALL_STEPS = 10
LATENT = (LATENT_SIZE, LATENT_SIZE, LATENT_CHANNELS)


class Noise(NamedTuple):
    """All that is random in a sample, standard normal.

    Attributes:
      posterior: [32, 32, 4] of the photo's latent.
      initial: [16, 32, 32, 4] latents that sampling starts from.
      steps: [S, 16, 32, 32, 4] added at each step; that of the last step is not used.
    """

    posterior: Array
    initial: Array
    steps: Array


def init_params(key: Array, spec: GeneratorSpec, dtype=jnp.float32) -> Params:
    """Untrained weights, see `networks.random_params`."""
    return random_params(key, spec, "syncdreamer", dtype)


def draw_noise(key: Array, count: int) -> Noise:
    """The noise of a sample of so many steps."""
    posterior_key, initial_key, steps_key = jax.random.split(key, 3)
    return Noise(
        jax.random.normal(posterior_key, LATENT),
        jax.random.normal(initial_key, (NUM_VIEWS, *LATENT)),
        jax.random.normal(steps_key, (count, NUM_VIEWS, *LATENT)),
    )


class Programs(NamedTuple):
    """Compiled functions of a model; D devices have a sample each.

    Attributes:
      embed: (params, photo, elevation) -> moments [32, 32, 8], context and viewpoint as those of
        `Condition`.
      advance: (params, views, condition, x, steps, noise, guidance) -> x [D, 16, 32, 32, 4] after
        these steps; condition.latent and noise have the leading axis D too.
      decode: (params, x) -> pictures [D, 16, 256, 256, 3] uint8.
    """

    embed: Callable
    advance: Callable
    decode: Callable


@functools.cache
def programs(
    spec: GeneratorSpec, view_batch: int, guided: bool, devices: tuple[jax.Device, ...]
) -> Programs:
    """The programs of sampling; each is compiled once for a dtype and number of steps a call."""

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

    # Choice: pmap as in training, here without a message between devices: a sample has one each.
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
    """Sets of 16 views of the object in a photo: azimuth 22.5 degrees k, elevation 30.

    A sample depends on the key and its number alone, up to rounding: not on how many there are or
    where they run.

    Args:
      params: of the model, see `keys.params_from_state`.
      photo: [256, 256, 3] in [-1, 1], prepared.
      elevation_rad: of the camera that took it, positive from above.
      key: typed PRNG key.
      spec: widths.
      num_samples: N.
      steps: of DDIM.
      guidance: 1 samples without the unconditional half, for half the work.
      eta: of DDIM, see `ddim_steps`.
      view_batch: views that run at a time, a divisor of 16; a matter of memory alone.
      dtype: of weights and products: float32, or bfloat16 for speed.
      devices: each takes a sample at a time; default are all of this process.
      noise: takes the place of what the key draws, with a leading axis [N].
      on_step: is called now and then with (steps done, steps in all).

    Returns:
      [N, 16, 256, 256, 3] uint8.

    Raises:
      ValueError: an argument is not as said above.
    """
    photo, table = check_photo(photo), ddim_steps(steps, eta)
    _check(elevation_rad, num_samples, guidance, view_batch)
    devices = tuple(devices or jax.local_devices())[:num_samples]
    count = len(table.index)
    if noise is None:
        keys = jax.vmap(functools.partial(jax.random.fold_in, key))(np.arange(num_samples))
        noise = jax.jit(jax.vmap(lambda key: draw_noise(key, count)))(keys)
    run = programs(spec, view_batch, guidance != 1.0, devices)
    params, views = place((cast(params, dtype), target_views()), devices)
    # By way of the host: every device makes the same of the photo, and each has its own sample.
    embedded = run.embed(params, photo, np.float32(elevation_rad))
    moments, context, viewpoint = jax.device_get(embedded)
    mean, deviation = posterior(moments)

    found, done = [], 0
    call = steps_per_call(count)
    total = count * -(-num_samples // len(devices))
    for first in range(0, num_samples, len(devices)):
        # The last round's idle devices repeat a sample.
        chosen = np.minimum(first + np.arange(len(devices)), num_samples - 1)
        condition = Condition(mean + deviation * noise.posterior[chosen], context, viewpoint)
        x, added = noise.initial[chosen], noise.steps[chosen].at[:, -1].set(0.0)
        for start in range(0, count, call):
            now = slice(start, start + call)
            part = Steps(*(column[now] for column in table))
            x = run.advance(params, views, condition, x, part, added[:, now], np.float32(guidance))
            done += call
            if on_step:
                jax.block_until_ready(x)
                on_step(done, total)
        found.append(run.decode(params, x))
    return np.concatenate([np.asarray(pictures) for pictures in found])[:num_samples]


def steps_per_call(count: int) -> int:
    """Of so many steps, those that one call takes: calls are alike, so that one program serves."""
    return max(n for n in range(1, MAX_CALL_STEPS + 1) if count % n == 0)


def place(tree: Any, devices: tuple[jax.Device, ...]) -> Any:
    """A pytree whole on every device."""
    mesh = jax.sharding.Mesh(np.asarray(devices), ("samples",))
    return jax.device_put(tree, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))


def _check(elevation_rad: float, num_samples: int, guidance: float, view_batch: int) -> None:
    if not -np.pi / 2 <= elevation_rad <= np.pi / 2:
        raise InputError(f"expected an elevation within +-pi/2 radians, got {elevation_rad}")
    if num_samples < 1 or not np.isfinite(guidance):
        raise InputError(
            f"expected at least one sample and a finite guidance, got {num_samples} and {guidance}"
        )
    if view_batch < 1 or NUM_VIEWS % view_batch:
        raise InputError(f"expected view_batch to divide {NUM_VIEWS}, got {view_batch}")
