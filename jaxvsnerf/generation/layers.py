"""Layers that several networks share, with the original's names and numerical details."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.types import Array


def group_norm(groups: int, name: str, epsilon: float = 1e-5) -> nn.GroupNorm:
    """A group norm; 1e-5 is PyTorch's epsilon, Flax's is another."""
    return nn.GroupNorm(groups, epsilon=epsilon, use_fast_variance=False, name=name)


def layer_norm(name: str) -> nn.LayerNorm:
    """A layer norm over the channels with PyTorch's epsilon."""
    return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name=name)


def conv(channels: int, name: str, *, ndim: int = 2, size: int = 3, stride: int = 1, bias=True):
    """A convolution with `size // 2` of zero padding on every side."""
    return nn.Conv(
        channels,
        (size,) * ndim,
        strides=stride,
        padding=size // 2,
        use_bias=bias,
        name=name,
    )


class UpConv3d(nn.Module):
    """A transposed 3x3x3 convolution that doubles each side.

    Output o = 2 i - 1 + tap, taps 0..2. `up_kernel` [3, 3, 3, in, out] has its taps in that
    order, and is flipped to correlate with the stretched input.
    """

    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (3, 3, 3, x.shape[-1], self.channels)
        kernel = self.param("up_kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.channels,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias)
        y = jax.lax.conv_general_dilated(
            x,
            jnp.flip(kernel, (0, 1, 2)),
            window_strides=(1, 1, 1),
            padding=[(1, 2)] * 3,
            lhs_dilation=(2, 2, 2),
            dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
        )
        return y + bias


class TimeMlp(nn.Module):
    """Two linear layers with SiLU between: a time embedding [..., features]."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = nn.silu(nn.Dense(self.features, name="0")(x))
        return nn.Dense(self.features, name="2")(x)


class Upsample(nn.Module):
    """Twice the size, each pixel four times, and a convolution."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = jnp.repeat(jnp.repeat(x, 2, axis=-3), 2, axis=-2)
        return conv(x.shape[-1], "conv")(x)
