"""The denoising UNet over latents, conditioned on a context and on view frusta.

Sources: Rombach et al. 2022 (arXiv:2112.10752); Liu et al. 2023, Zero-1-to-3 (arXiv:2303.11328)
and SyncDreamer (arXiv:2309.03453).
"""

from __future__ import annotations

from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp

from jaxvsnerf.generation.attention import SpatialTransformer
from jaxvsnerf.generation.depth_attention import DepthTransformer
from jaxvsnerf.generation.embeddings import sinusoid
from jaxvsnerf.generation.layers import GroupNorm, TimeMlp, Upsample, conv
from jaxvsnerf.generation.spec import LATENT_CHANNELS, LEVELS
from jaxvsnerf.types import Array

BLOCKS = 2  # residual blocks per level of the encoder; the decoder has one more


class ResBlock(nn.Module):
    """Two normed convolutions with a step embedding and a skip connection, 1x1 if widths differ."""

    channels: int

    @nn.compact
    def __call__(self, x: Array, time: Array) -> Array:
        y = conv(self.channels, "in_layers_2")(nn.silu(GroupNorm(32, name="in_layers_0")(x)))
        y = y + nn.Dense(self.channels, name="emb_layers_1")(nn.silu(time))[:, None, None]
        y = conv(self.channels, "out_layers_3")(nn.silu(GroupNorm(32, name="out_layers_0")(y)))
        if x.shape[-1] != self.channels:
            x = conv(self.channels, "skip_connection", size=1)(x)
        return x + y


class Downsample(nn.Module):
    """A convolution of stride 2."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return conv(x.shape[-1], "op", stride=2)(x)


class UNet(nn.Module):
    """Predicts the noise in latents from their diffusion step and conditioning.

    Attributes:
      width: channels of the first level.
    """

    width: int

    @nn.compact
    def __call__(
        self,
        x: Array,
        steps: Array,
        context: Array,
        volumes: Mapping[int, Array] | None = None,
    ) -> Array:
        """Predicts the noise in N latents.

        Args:
          x: [N, s, s, 8] noisy latents concatenated with the photo's latent.
          steps: [1] or [N] diffusion steps, 0..999.
          context: [N, S, 768] context tokens.
          volumes: frustum features [M, D, w, w, e] of the first M latents, keyed by the width w
            of the UNet features that they condition; the other latents' are zero. None for a
            model without frusta.

        Returns:
          [N, s, s, 4].
        """
        time = TimeMlp(4 * self.width, name="time_embed")(sinusoid(steps, self.width))
        time = time.astype(x.dtype)

        def condition(x: Array, name: str) -> Array:
            return x if volumes is None else DepthTransformer(name=name)(x, volumes[x.shape[-2]])

        x = conv(self.width, "input_blocks_0_0")(x)
        skips = [x]
        for level, factor in enumerate(LEVELS):
            deepest = level + 1 == len(LEVELS)
            for _ in range(BLOCKS):
                name = f"input_blocks_{len(skips)}"
                x = ResBlock(self.width * factor, name=f"{name}_0")(x, time)
                if not deepest:
                    x = SpatialTransformer(name=f"{name}_1")(x, context)
                skips.append(x)
            if not deepest:
                x = Downsample(name=f"input_blocks_{len(skips)}_0")(x)
                skips.append(x)

        x = ResBlock(x.shape[-1], name="middle_block_0")(x, time)
        x = SpatialTransformer(name="middle_block_1")(x, context)
        x = ResBlock(x.shape[-1], name="middle_block_2")(x, time)
        x = condition(x, "middle_conditions")

        for index in range(len(skips)):
            level, block = divmod(index, BLOCKS + 1)
            name, channels = f"output_blocks_{index}", self.width * LEVELS[-1 - level]
            x = jnp.concatenate([x, skips.pop()], -1)
            x = ResBlock(channels, name=f"{name}_0")(x, time)
            if level:
                x = SpatialTransformer(name=f"{name}_1")(x, context)
            if block == BLOCKS and skips:
                x = Upsample(name=f"{name}_{2 if level else 1}")(x)
            if level:
                x = condition(x, f"output_conditions_{index - BLOCKS - 1}")
        x = nn.silu(GroupNorm(32, name="out_0")(x))
        return conv(LATENT_CHANNELS, "out_2")(x)
