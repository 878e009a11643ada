"""The diffusion's noise levels, and the steps that DDIM takes through them.

Sources: Ho et al. 2020 (arXiv:2006.11239); Song et al. 2021, DDIM (arXiv:2010.02502).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.types import Array

NUM_STEPS = 1000
BETA_RANGE = (0.00085, 0.012)


class Steps(NamedTuple):
    """DDIM steps, the noisiest first; every array is [S] float32, or a scalar of one step.

    Attributes:
      index: of the diffusion step, 0..999, int32.
      alpha: the signal's share of the variance at the step.
      alpha_prev: at the next, less noisy one.
      sigma: of the noise that is added.
    """

    index: Array
    alpha: Array
    alpha_prev: Array
    sigma: Array


@functools.cache
def betas() -> np.ndarray:
    """Variances [1000] float32 that the diffusion's steps add: roots on a line.

    Bit for bit those of SyncDreamer's checkpoint: ends and spacing of the line are float32, and
    each half is counted from its end.
    """
    start, end = np.sqrt(BETA_RANGE).astype(np.float32)
    spacing = (end - start) / np.float32(NUM_STEPS - 1)
    start, end, spacing = np.asarray([start, end, spacing], np.float64)
    index = np.arange(NUM_STEPS)
    up, down = start + spacing * index, end - spacing * (NUM_STEPS - 1 - index)
    return np.square(np.where(2 * index < NUM_STEPS, up, down).astype(np.float32))


@functools.cache
def alphas_cumprod() -> np.ndarray:
    """The signal's share of the variance [1000] float32 after each diffusion step."""
    # Factors as float32 holds them, multiplied exactly: as the original's are.
    kept = np.float32(1.0) - betas()
    return np.cumprod(kept, dtype=np.float64).astype(np.float32)


def ddim_steps(count: int, eta: float) -> Steps:
    """The steps of a sampling run.

    Args:
      count: wanted; where it does not divide 1000 there are some more.
      eta: 0 adds no noise, 1 as much as the diffusion.

    Raises:
      ValueError: `count` is not within 1..1000, or `eta` not within [0, 1].
    """
    if not 1 <= count <= NUM_STEPS or not 0.0 <= eta <= 1.0:
        raise InputError(
            f"expected 1 to {NUM_STEPS} steps and eta within [0, 1]; got {count} and {eta}"
        )
    index = np.arange(0, NUM_STEPS, NUM_STEPS // count) + 1
    index = index[index < NUM_STEPS]
    alpha = alphas_cumprod()[index]
    # The last step leads to the first noise level, not to none.
    alpha_prev = np.concatenate([alphas_cumprod()[:1], alpha[:-1]])
    a, before = alpha.astype(np.float64), alpha_prev.astype(np.float64)
    sigma = eta * np.sqrt((1.0 - before) / (1.0 - a) * (1.0 - a / before))
    columns = (index.astype(np.int32), alpha, alpha_prev, sigma.astype(np.float32))
    return Steps(*(column[::-1].copy() for column in columns))


def ddim_update(x: Array, noise_found: Array, noise_added: Array, step: Steps, floor: float):
    """Latents after one step.

    Args:
      x: noisy latents.
      noise_found: in them, predicted.
      noise_added: standard normal; 0 for none.
      step: one step, scalars.
      floor: least variance of what is left of the predicted noise.
    """
    clean = (x - jnp.sqrt(1.0 - step.alpha) * noise_found) / jnp.sqrt(step.alpha)
    left = jnp.maximum(1.0 - step.alpha_prev - jnp.square(step.sigma), floor)
    kept = jnp.sqrt(step.alpha_prev) * clean + jnp.sqrt(left) * noise_found
    return kept + step.sigma * noise_added
