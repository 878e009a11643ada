"""Weights of the smallest generators, random, as a download would have them."""

import functools
from pathlib import Path

import jax
import numpy as np
from safetensors.numpy import save_file

from jaxvsnerf.generation.keys import state_from_params
from jaxvsnerf.generation.networks import random_params
from jaxvsnerf.generation.spec import TINY
from jaxvsnerf.generation.weights import Source, WeightsInfo, save_weights


@functools.cache
def tiny_params(model="syncdreamer"):
    """Host arrays; the same in every process."""
    return random_params(jax.random.key(0), TINY, model)


def tiny_state(model="syncdreamer"):
    """The checkpoint of `tiny_params`, under the original's names."""
    return state_from_params(tiny_params(model), TINY, model)


def save_state(path: Path, state) -> Path:
    """Writes a .safetensors file."""
    save_file({name: np.array(value, order="C") for name, value in state.items()}, path)
    return path


def save_tiny(folder: Path, model="syncdreamer", seed="a") -> Path:
    """A folder of weights, as the converter writes it."""
    source = Source("tiny.safetensors", 1, seed * 64)
    save_weights(folder, WeightsInfo(model, TINY, "float32", (source,)), tiny_params(model))
    return folder
