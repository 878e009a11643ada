"""The spatial volume: features of all noisy views, gathered at points around the object.

Source: Liu et al. 2023, SyncDreamer (arXiv:2309.03453), section 3.3.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.generation.geometry import interpolate
from jaxvsnerf.generation.layers import GroupNorm, UpConv3d, conv
from jaxvsnerf.generation.spec import ENCODER_WIDTH
from jaxvsnerf.types import Array


class EncoderBlock(nn.Module):
    """Two normed convolutions with step and viewpoint embeddings and a skip connection."""

    @nn.compact
    def __call__(self, x: Array, time: Array, viewpoint: Array) -> Array:
        width = x.shape[-1]
        y = (
            x
            + conv(width, "time_embed", size=1)(time)
            + conv(width, "view_embed", size=1)(viewpoint)
        )
        y = conv(width, "conv_2")(nn.silu(GroupNorm(8, name="conv_0")(y)))
        y = conv(width, "conv_5")(nn.silu(GroupNorm(8, name="conv_3")(y)))
        return x + y


class TargetEncoder(nn.Module):
    """Encodes noisy views [V, h, w, 4] as features [V, h, w, 16], each view by itself.

    `time` [1, 256] embeds the step, `viewpoint` [V, 4] the views.
    """

    @nn.compact
    def __call__(self, x: Array, time: Array, viewpoint: Array) -> Array:
        time, viewpoint = time[:, None, None], viewpoint[:, None, None]
        x = conv(ENCODER_WIDTH, "init_conv")(x)
        for index in range(3):
            x = EncoderBlock(name=f"out_conv{index}")(x, time, viewpoint)
        return conv(ENCODER_WIDTH, "final_out_2")(nn.silu(GroupNorm(8, name="final_out_0")(x)))


def unproject(features: Array, pixels: Array) -> Array:
    """Samples every view's features at the projections of all voxels.

    Args:
      features: [V, h, w, C].
      pixels: [V, D, H, W, 2] (row, column) of every voxel in every view.

    Returns:
      [D, H, W, V * C], the views' channels concatenated.
    """
    seen = jax.vmap(interpolate)(features, pixels)
    return jnp.moveaxis(seen, 0, -2).reshape(*seen.shape[1:-1], -1)


class VolumeBlock(nn.Module):
    """Norm, SiLU and a 3-D convolution, with embeddings of the step and optionally the viewpoint.

    Attributes:
      channels: output channels.
      stride: stride of the convolution.
      up: uses a transposed convolution that doubles each side, instead.
    """

    channels: int
    stride: int = 1
    up: bool = False

    @nn.compact
    def __call__(self, x: Array, time: Array, viewpoint: Array | None = None) -> Array:
        width = x.shape[-1]
        x = x + conv(width, "t_conv", ndim=3, size=1)(time)
        if viewpoint is not None:
            x = x + conv(width, "v_conv", ndim=3, size=1)(viewpoint)
        x = nn.silu(GroupNorm(8, name="norm" if self.up else "bn")(x))
        if self.up:
            return UpConv3d(self.channels, name="conv")(x)
        return conv(self.channels, "conv", ndim=3, stride=self.stride)(x)


class SpatialNet(nn.Module):
    """3-D UNet: unprojected features [N, s, s, s, C] to the spatial volume [N, s, s, s, widths[0]].

    Attributes:
      widths: channels of the four levels; each level halves the side.
    """

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Array, time: Array) -> Array:
        time = time[:, None, None, None]
        x = conv(self.widths[0], "init_conv", ndim=3)(x)
        x = VolumeBlock(self.widths[0], name="conv0")(x, time)
        levels = [x]
        # Names as in the original: conv1, conv2_0 and conv2_1, then conv3, conv4_0, ...
        for level, width in enumerate(self.widths[1:]):
            x = VolumeBlock(width, stride=2, name=f"conv{2 * level + 1}")(x, time)
            for index in range(2):
                x = VolumeBlock(width, name=f"conv{2 * level + 2}_{index}")(x, time)
            levels.append(x)
        x = levels.pop()
        for index, skip in enumerate(reversed(levels)):
            x = skip + VolumeBlock(skip.shape[-1], up=True, name=f"conv{7 + index}")(x, time)
        return x
