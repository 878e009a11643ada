"""Checks single modules, guided noise and a whole sampling run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from experiments.generation_parity.checks import NETS
from experiments.generation_parity.fixtures import (
    CHAINED,
    MODULE,
    Check,
    Fixtures,
    last,
    pictures_last,
)
from jaxvsnerf.generation import autoencoder, unet
from jaxvsnerf.generation.attention import SpatialTransformer, TransformerBlock
from jaxvsnerf.generation.clip import Block
from jaxvsnerf.generation.denoising import Condition, embed_step, predict_views, spatial_volume
from jaxvsnerf.generation.depth_attention import DepthTransformer
from jaxvsnerf.generation.embeddings import viewpoints
from jaxvsnerf.generation.geometry import target_views
from jaxvsnerf.generation.keys import PREFIXES, module_keys
from jaxvsnerf.generation.layers import GroupNorm, conv, layer_norm
from jaxvsnerf.generation.pictures import decode
from jaxvsnerf.generation.schedule import Steps, ddim_steps, ddim_update
from jaxvsnerf.generation.spec import LATENT_SCALE, NUM_VIEWS, TINY
from jaxvsnerf.generation.syncdreamer import FLOOR
from jaxvsnerf.generation.volume import EncoderBlock, VolumeBlock
from jaxvsnerf.types import Array, Params


class _Head(nn.Module):
    """Norm, SiLU and convolution, which are layers of a larger module of the original."""

    norm: str
    groups: int
    conv: str
    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return conv(self.channels, self.conv)(nn.silu(GroupNorm(self.groups, name=self.norm)(x)))


# The module of each probe. The original's path names its parameters.
WIDTHS = TINY.volume_widths
PROBES: dict[str, nn.Module] = {
    "unet_resblock": unet.ResBlock(64),
    "unet_spatial_transformer": SpatialTransformer(),
    "unet_basic_block": TransformerBlock(),
    "unet_out_head": _Head("out_0", 32, "out_2", 4),
    "depth_transformer": DepthTransformer(),
    "depth_transformer_zero_volume": DepthTransformer(),
    "vae_resblock": autoencoder.ResnetBlock(64),
    "vae_attn": autoencoder.AttnBlock(),
    "vae_downsample": autoencoder.Downsample(),
    "clip_ln": layer_norm(None),
    "clip_block": Block(),
    "target_encoder_final": _Head("final_out_0", 8, "final_out_2", 16),
    "target_encoder_block": EncoderBlock(),
    "spatial_block_stride2": VolumeBlock(WIDTHS[1], stride=2),
    "spatial_up_block": VolumeBlock(WIDTHS[1], up=True),
    "spatial_gn": GroupNorm(8),
    "frustum_block_stride2": VolumeBlock(WIDTHS[2], stride=2),
    "frustum_up_block": VolumeBlock(WIDTHS[1], up=True),
    "frustum_gn": GroupNorm(8),
}
# These modules take their layers from the module around them.
HEADS = ("unet_out_head", "target_encoder_final")


def check_probes(fixtures: Fixtures) -> Iterator[Check]:
    """Checks single modules, mostly with inputs so small that a wrong epsilon shows."""
    data = fixtures.read("probes")
    inputs, weights = {}, {}
    for name in PROBES:
        path = str(data[f"{name}__module"])
        weights[name] = _find(fixtures.params, path.rpartition(".")[0] if name in HEADS else path)
        given = [data[f"{name}__in{index}"] for index in range(3) if f"{name}__in{index}" in data]
        inputs[name] = [_layout(name, x) for x in given]

    @jax.default_matmul_precision("highest")
    @jax.jit
    def apply(weights: dict[str, Params], inputs: dict[str, list[Array]]) -> dict[str, Array]:
        return {
            name: module.apply({"params": weights[name]}, *inputs[name])
            for name, module in PROBES.items()
        }

    for name, found in apply(weights, inputs).items():
        yield Check(name, found, _layout(name, data[f"{name}__out"]), MODULE)


def _layout(name: str, x: np.ndarray) -> np.ndarray:
    if name == "clip_block":  # the original puts tokens first, this project pictures
        return np.swapaxes(x, 0, 1)
    return x if x.ndim <= 3 else last(x)


def _find(params: Params, path: str) -> Params:
    """Parameters of the module with this path in the original.

    Raises:
      ValueError: the original has no such path.
    """
    for network, prefix in PREFIXES.items():
        if not (path + ".").startswith(prefix + "."):
            continue
        node, left = params[network], path[len(prefix) :].strip(".")
        while left:
            names = {".".join(module_keys([name])): name for name in node}
            key = next(key for key in names if (left + ".").startswith(key + "."))
            node, left = node[names[key]], left[len(key) :].strip(".")
        return node
    raise ValueError(f"expected a path of the original, got {path}")


Predict = Callable[..., Array]


def make_predict() -> Predict:
    """Returns the function (params, x, step, condition, views, chosen, scale) -> noise.

    The noise is that of the chosen views. The function compiles once per number of chosen views.
    """

    @jax.default_matmul_precision("highest")
    @jax.jit
    def predict(params, x, step, condition, views, chosen, scale):
        time = embed_step(params, jnp.reshape(step, (1,)), TINY)
        volume = spatial_volume(params, x, time, condition.viewpoint, views.pixels, TINY)
        theirs = Condition(condition.latent, condition.context[chosen], condition.viewpoint[chosen])
        voxels = views.voxels[chosen]
        return predict_views(params, volume, x[chosen], step, theirs, voxels, scale, TINY)

    return predict


def _condition(fixtures: Fixtures, latent: Array, embedded: Array, elevation: Any) -> Condition:
    viewpoint = viewpoints(elevation)
    tokens = jnp.concatenate([jnp.broadcast_to(embedded, (NUM_VIEWS, 768)), viewpoint], -1)
    with jax.default_matmul_precision("highest"):
        context = NETS["cc_projection"].apply({"params": fixtures.params["cc_projection"]}, tokens)
    return Condition(pictures_last(latent) / LATENT_SCALE, context, viewpoint)


def check_guided(fixtures: Fixtures, predict: Predict) -> Iterator[Check]:
    """Checks the guided noise of two objects."""
    data, views = fixtures.read("guided_eps_batch2"), target_views()
    chosen = data["eps_guided_views"]
    alone = list(chosen).index(3) if 3 in chosen else None
    for number in range(2):
        x = pictures_last(data["x_noisy_f16"][number].astype(np.float32))
        condition = _condition(
            fixtures,
            data["x_input_scaled"][number],
            data["clip_embed"][number],
            data["elevation_rad"][number],
        )
        given = (fixtures.params, x, data["t"][number], condition, views)
        found = predict(*given, chosen, data["cfg_scale"])
        yield Check(
            f"eps_guided[{number}]", found, pictures_last(data["eps_guided"][number]), CHAINED
        )
        # At scale 1 the guided noise equals the conditional noise.
        only = chosen if alone is not None else np.array([3, *chosen[1:]])
        found = predict(*given, only, np.float32(1.0))[alone or 0]
        expected = pictures_last(data["eps_scale1"][number, 0])
        yield Check(f"eps_scale1[{number}]", found, expected, CHAINED)


def check_sampling(fixtures: Fixtures, predict: Predict, chosen: np.ndarray) -> Iterator[Check]:
    """Checks a run of four steps with all noise given.

    Args:
      fixtures: the fixtures.
      predict: the function of `make_predict`.
      chosen: indices of the computed views. With all 16 views the check follows the whole run
        from the first noise to the pictures. With fewer views (0 and 9 first) each step starts
        from the original's latents, as far as the fixtures contain them.
    """
    data, params, views = fixtures.read("sampling"), fixtures.params, target_views()
    whole = len(chosen) == NUM_VIEWS
    variables = {"params": params["autoencoder"]}

    @jax.default_matmul_precision("highest")
    @jax.jit
    def encode(variables, photo):
        net = NETS["autoencoder"]
        return net.apply(variables, photo[None], method=autoencoder.Autoencoder.encode)[0]

    mean, deviation = autoencoder.posterior(encode(variables, fixtures.photo))
    latent = LATENT_SCALE * (mean + deviation * pictures_last(data["posterior_noise"][0]))
    yield Check("x_input_scaled", latent, pictures_last(data["x_input_scaled"][0]), MODULE)
    condition = _condition(
        fixtures, np.moveaxis(latent, -1, 0), data["clip_embed"][0], np.float32(np.deg2rad(20.0))
    )
    table = ddim_steps(4, 1.0)
    after = pictures_last(data["x_after_step"][:, 0])
    noise = np.concatenate([data["step_noise"][:, 0], np.zeros_like(data["initial_noise"])])
    noise, x = pictures_last(noise), pictures_last(data["initial_noise"][0])
    for number in range(4 if whole else 2):
        step = Steps(*(column[number] for column in table))
        found = predict(params, x, step.index, condition, views, chosen, data["cfg_scale"])
        two = [list(chosen).index(0), list(chosen).index(9)]
        if number == 0:
            expected = pictures_last(data["eps_step0"][0])[chosen]
            yield Check("eps_step0", found, expected, CHAINED)
        else:
            expected = pictures_last(data["eps_steps1_3_views0_9"][number - 1, 0])
            yield Check(f"eps_step{number} views 0, 9", found[jnp.array(two)], expected, CHAINED)
        moved = ddim_update(x[chosen], found, noise[number][chosen], step, FLOOR)
        if number in (0, 3):
            expected = after[number // 3][chosen]
            yield Check(f"x_after_step{number + 1}", moved, expected, CHAINED)
        else:
            expected = pictures_last(data["x_after_step1_2_views0_9"][number - 1, 0])
            name = f"x_after_step{number + 1} views 0, 9"
            yield Check(name, moved[jnp.array(two)], expected, CHAINED)
        x = moved if whole else after[0]

    x = x if whole else after[1]
    run = jax.jit(functools.partial(decode, batch=1, spec=TINY))
    with jax.default_matmul_precision("highest"):
        strip = np.concatenate(list(np.asarray(run(params, x[np.array([0, 9])]))), axis=1)
    # 1/255: a value between two integers may round either way.
    yield Check(
        "decoded_uint8_strip_views0_9", strip, data["decoded_uint8_strip_views0_9"], 1.01 / 255
    )
