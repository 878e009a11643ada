"""The networks of each model by name, and the shapes, dtype and random values of parameters."""

from __future__ import annotations

import contextlib
import functools
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.generation.autoencoder import Autoencoder
from jaxvsnerf.generation.clip import ClipImage
from jaxvsnerf.generation.frustum import FrustumNet
from jaxvsnerf.generation.layers import TimeMlp
from jaxvsnerf.generation.spec import (
    CLIP_SIZE,
    CONTEXT_DIM,
    ENCODER_WIDTH,
    LATENT_CHANNELS,
    NUM_VIEWS,
    TIME_DIM,
    VIEWPOINT_DIM,
    GeneratorSpec,
)
from jaxvsnerf.generation.unet import UNet
from jaxvsnerf.generation.volume import SpatialNet, TargetEncoder
from jaxvsnerf.types import Array, Params

Model = Literal["syncdreamer", "zero123"]
MODELS: tuple[Model, ...] = ("syncdreamer", "zero123")


def check_model(model: str) -> None:
    """Checks the name of a model.

    Raises:
      ValueError: no such model.
    """
    if model not in MODELS:
        raise ValueError(f"expected a model of {', '.join(MODELS)}; got {model!r}")


def networks(spec: GeneratorSpec, model: Model = "syncdreamer") -> dict[str, nn.Module]:
    """A model's networks by name; the parameters have the same top-level names."""
    both = {
        "autoencoder": Autoencoder(spec.autoencoder_width),
        "clip": ClipImage(spec.clip_width, spec.clip_layers),
        "cc_projection": nn.Dense(CONTEXT_DIM),
        "unet": UNet(spec.unet_width),
    }
    if model == "zero123":
        return both
    return both | {
        "time_embed": TimeMlp(TIME_DIM),
        "target_encoder": TargetEncoder(),
        "spatial_net": SpatialNet(spec.volume_widths),
        "frustum_net": FrustumNet(spec.volume_widths),
    }


@functools.cache
def param_shapes(spec: GeneratorSpec, model: Model = "syncdreamer") -> Params:
    """Shapes and dtypes of a model's parameters, as a pytree like the parameters."""
    given = _smallest_inputs(spec, model)

    def init(network: nn.Module, name: str) -> Params:
        return network.init(jax.random.key(0), *given[name])["params"]

    return {
        name: jax.eval_shape(functools.partial(init, network, name))
        for name, network in networks(spec, model).items()
    }


def _smallest_inputs(spec: GeneratorSpec, model: Model) -> dict[str, tuple]:
    """The smallest valid arguments of each network, for initialisation."""

    def zeros(*shape: int) -> Array:
        return jnp.zeros(shape)

    sides = (16, 8, 4, 2)
    volumes = {
        side: zeros(1, 1, side, side, width)
        for side, width in zip(sides, spec.volume_widths, strict=True)
    }
    time, viewpoint = zeros(1, TIME_DIM), zeros(1, VIEWPOINT_DIM)
    # Two context tokens: with one token, attention would create no queries and keys.
    denoised = (zeros(1, 16, 16, 2 * LATENT_CHANNELS), zeros(1), zeros(1, 2, CONTEXT_DIM))
    return {
        "autoencoder": (zeros(1, 8, 8, 3),),
        "clip": (zeros(1, CLIP_SIZE, CLIP_SIZE, 3),),
        "cc_projection": (zeros(1, CONTEXT_DIM + VIEWPOINT_DIM),),
        "unet": denoised if model == "zero123" else (*denoised, volumes),
        "time_embed": (zeros(1, TIME_DIM),),
        "target_encoder": (zeros(1, 8, 8, LATENT_CHANNELS), time, viewpoint),
        "spatial_net": (zeros(1, 8, 8, 8, NUM_VIEWS * ENCODER_WIDTH), time),
        "frustum_net": (zeros(1, 8, 8, 8, spec.volume_widths[0]), time, viewpoint),
    }


def weights_dtype(params: Params) -> jnp.dtype:
    """The dtype of a model's weights, in which matrix products run."""
    return params["cc_projection"]["kernel"].dtype


def cast(params: Params, dtype) -> Params:
    """Casts parameters to a dtype, without a copy of leaves that already have the dtype."""
    return jax.tree.map(lambda value: value.astype(dtype, copy=False), params)


def precise(params: Params):
    """A context manager that gives float32 weights full-precision products on every device."""
    if weights_dtype(params) == jnp.float32:
        return jax.default_matmul_precision("highest")
    return contextlib.nullcontext()


def random_params(
    key: Array, spec: GeneratorSpec, model: Model = "syncdreamer", dtype=jnp.float32
) -> Params:
    """Draws untrained weights on the host, equal on every machine.

    Args:
      key: typed PRNG key.
      spec: sizes of the model.
      model: the model to draw parameters of.
      dtype: of every parameter.

    Returns:
      Numpy arrays: kernels uniform with variance 1 / fan-in, norm scales 1, biases 0.
    """
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))

    def draw(path: tuple, shape: jax.ShapeDtypeStruct) -> np.ndarray:
        name, shape = path[-1].key, shape.shape
        if name in ("scale", "bias"):
            return np.full(shape, name == "scale", dtype)
        fan_in = np.prod(shape[:-1]) if len(shape) > 1 else 1
        values = rng.random(shape, np.float32)
        return ((2.0 * values - 1.0) * np.float32(np.sqrt(3.0 / fan_in))).astype(dtype)

    return jax.tree_util.tree_map_with_path(draw, param_shapes(spec, model))
