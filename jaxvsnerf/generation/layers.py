"""Layers shared by several networks; parameter names and numerics follow the originals."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.types import Array


class GroupNorm(nn.Module):
    """Group normalisation of [N, ..., C] over groups of channels and all positions.

    Moments are averaged within rows first, then over rows. On a CPU, XLA sums a long axis in
    order: the float32 rounding error of a volume's moments then changes the results by 1e-5.

    Attributes:
      groups: number of groups of neighbouring channels.
      epsilon: added to the variance; 1e-5 is PyTorch's default, Flax's differs.
    """

    groups: int
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Array) -> Array:
        scale = self.param("scale", nn.initializers.ones_init(), (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros_init(), (x.shape[-1],))

        def mean(y: Array) -> Array:
            rows = y.mean((-3, -1), keepdims=True)
            return rows.mean(tuple(range(1, y.ndim - 2)), keepdims=True)

        y = x.astype(jnp.float32).reshape(*x.shape[:-1], self.groups, -1)
        y = y - mean(y)
        y = y * jax.lax.rsqrt(mean(jnp.square(y)) + self.epsilon)
        return (y.reshape(x.shape) * scale + bias).astype(jnp.result_type(x, scale))


def layer_norm(name: str | None) -> nn.LayerNorm:
    """Layer normalisation over the channels with PyTorch's epsilon."""
    return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name=name)


def conv(channels: int, name: str, *, ndim: int = 2, size: int = 3, stride: int = 1, bias=True):
    """A convolution with zero padding of `size // 2` on every side.

    Args:
      channels: output channels.
      name: name of the submodule.
      ndim: number of spatial axes.
      size: kernel size along every axis, odd.
      stride: stride along every axis.
      bias: whether a bias is added.

    Returns:
      A Flax module [N, ..., C] -> [N, ..., channels].
    """
    return nn.Conv(
        channels,
        (size,) * ndim,
        strides=stride,
        padding=size // 2,
        use_bias=bias,
        name=name,
    )


# Taps of a transposed convolution of stride 2 along one axis: TAPS[phase, offset, tap] is 1 where
# output 2 i + phase receives input i + offset through the tap. Phase 0 receives no input i + 1.
TAPS = np.zeros((2, 2, 3), np.float32)
TAPS[0, 0, 1] = TAPS[1, 0, 2] = TAPS[1, 1, 0] = 1.0


class UpConv3d(nn.Module):
    """A transposed 3x3x3 convolution that doubles each side: output 2 i - 1 + tap, taps 0..2.

    Computed as one 2x2x2 convolution that returns the eight outputs of every input voxel, which
    avoids products with the zeros between stretched inputs. `up_kernel` is [3, 3, 3, in, out].

    Attributes:
      channels: output channels.
    """

    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        given = x.shape[-1]
        shape = (3, 3, 3, given, self.channels)
        kernel = self.param("up_kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.channels,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias)
        taps = TAPS.astype(kernel.dtype)
        kernel = jnp.einsum("pax,qby,rcz,xyzio->abcipqro", taps, taps, taps, kernel)
        y = jax.lax.conv_general_dilated(
            x,
            kernel.reshape(2, 2, 2, given, -1),
            window_strides=(1, 1, 1),
            padding=[(0, 1)] * 3,
            dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
        )
        batch, depth, height, width, _ = x.shape
        y = y.reshape(batch, depth, height, width, 2, 2, 2, self.channels)
        y = y.transpose(0, 1, 4, 2, 5, 3, 6, 7)
        return y.reshape(batch, 2 * depth, 2 * height, 2 * width, self.channels) + bias


class TimeMlp(nn.Module):
    """Two dense layers with SiLU between: embeds [..., C] as [..., features]."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = nn.silu(nn.Dense(self.features, name="0")(x))
        return nn.Dense(self.features, name="2")(x)


class Upsample(nn.Module):
    """Doubles height and width by nearest neighbour, then a convolution."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = jnp.repeat(jnp.repeat(x, 2, axis=-3), 2, axis=-2)
        return conv(x.shape[-1], "conv")(x)
