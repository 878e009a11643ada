"""The noise schedule of the diffusion, and DDIM's denoising steps.

Sources: Ho et al. 2020 (arXiv:2006.11239); Song et al. 2021, DDIM (arXiv:2010.02502).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxvsnerf.types import Array

NUM_STEPS = 1000
BETA_RANGE = (0.00085, 0.012)  # of the first and the last step


class Steps(NamedTuple):
    """DDIM steps, the noisiest first; every array is [S] float32, or [] for a single step.

    Attributes:
      index: int32 index of the diffusion step, 0..999.
      alpha: cumulative product of 1 - beta at the step: the signal's share of the variance.
      alpha_prev: `alpha` at the next, less noisy step.
      sigma: standard deviation of the noise added by the step.
    """

    index: Array
    alpha: Array
    alpha_prev: Array
    sigma: Array


@functools.cache
def betas() -> np.ndarray:
    """Noise variances [1000] float32 of the diffusion steps; their square roots are linear.

    Bit for bit equal to SyncDreamer's checkpoint: the line's ends and spacing are float32, and
    each half is counted from its own end, like PyTorch's linspace.
    """
    start, end = np.sqrt(BETA_RANGE).astype(np.float32)
    spacing = (end - start) / np.float32(NUM_STEPS - 1)
    start, end, spacing = np.asarray([start, end, spacing], np.float64)
    index = np.arange(NUM_STEPS)
    up, down = start + spacing * index, end - spacing * (NUM_STEPS - 1 - index)
    return np.square(np.where(2 * index < NUM_STEPS, up, down).astype(np.float32))


@functools.cache
def alphas_cumprod() -> np.ndarray:
    """Cumulative products [1000] float32 of 1 - beta: the signal's share of the variance."""
    # As in the original: float32 factors, multiplied in float64.
    kept = np.float32(1.0) - betas()
    return np.cumprod(kept, dtype=np.float64).astype(np.float32)


def ddim_steps(count: int, eta: float) -> Steps:
    """The denoising steps of a sampling run.

    Args:
      count: number of steps, 1 to 1000; a number that does not divide 1000 gives some more.
      eta: share of fresh noise, 0 (deterministic) to 1 (as much as DDPM).

    Raises:
      ValueError: `count` is not in 1..1000, or `eta` not in [0, 1].
    """
    if not 1 <= count <= NUM_STEPS or not 0.0 <= eta <= 1.0:
        raise ValueError(
            f"expected 1 to {NUM_STEPS} steps and eta within [0, 1]; got {count} and {eta}"
        )
    index = np.arange(0, NUM_STEPS, NUM_STEPS // count) + 1
    index = index[index < NUM_STEPS]
    alpha = alphas_cumprod()[index]
    # The last step ends at the diffusion's least noise level, not at zero noise.
    alpha_prev = np.concatenate([alphas_cumprod()[:1], alpha[:-1]])
    a, before = alpha.astype(np.float64), alpha_prev.astype(np.float64)
    sigma = eta * np.sqrt((1.0 - before) / (1.0 - a) * (1.0 - a / before))
    columns = (index.astype(np.int32), alpha, alpha_prev, sigma.astype(np.float32))
    return Steps(*(column[::-1].copy() for column in columns))


def ddim_update(x: Array, noise_found: Array, noise_added: Array, step: Steps, floor: float):
    """Latents after one DDIM step.

    Args:
      x: [...] noisy latents.
      noise_found: [...] predicted noise in `x`.
      noise_added: [...] standard normal noise, scaled by the step's sigma; 0 adds none.
      step: one step, scalars.
      floor: least variance of the predicted noise that remains.

    Returns:
      [...] latents at the noise level `step.alpha_prev`.
    """
    clean = (x - jnp.sqrt(1.0 - step.alpha) * noise_found) / jnp.sqrt(step.alpha)
    left = jnp.maximum(1.0 - step.alpha_prev - jnp.square(step.sigma), floor)
    kept = jnp.sqrt(step.alpha_prev) * clean + jnp.sqrt(left) * noise_found
    return kept + step.sigma * noise_added
