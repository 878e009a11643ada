"""The KL-regularised autoencoder (VAE): pictures to latents of an eighth of the side, and back.

Source: Rombach et al. 2022 (arXiv:2112.10752).
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.generation.layers import GroupNorm, Upsample, conv
from jaxvsnerf.generation.spec import LATENT_CHANNELS, LEVELS
from jaxvsnerf.types import Array

BLOCKS = 2  # residual blocks per level of the encoder; the decoder has one more
LOG_VARIANCE = (-30.0, 20.0)  # range to which the posterior's log variance is clipped


def _norm(name: str) -> GroupNorm:
    return GroupNorm(32, 1e-6, name=name)


class ResnetBlock(nn.Module):
    """Two normed convolutions with a skip connection, by a 1x1 convolution where widths differ."""

    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        y = conv(self.channels, "conv1")(nn.silu(_norm("norm1")(x)))
        y = conv(self.channels, "conv2")(nn.silu(_norm("norm2")(y)))
        if x.shape[-1] != self.channels:
            x = conv(self.channels, "nin_shortcut", size=1)(x)
        return x + y


class AttnBlock(nn.Module):
    """Single-head self-attention over all positions, with a skip connection."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        batch, height, width, channels = x.shape
        y = _norm("norm")(x)
        q, k, v = (
            conv(channels, name, size=1)(y).reshape(batch, height * width, 1, channels)
            for name in "qkv"
        )
        y = jax.nn.dot_product_attention(q, k, v).reshape(x.shape)
        return x + conv(channels, "proj_out", size=1)(y)


class Middle(nn.Module):
    """The blocks at the lowest resolution."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = ResnetBlock(x.shape[-1], name="block_1")(x)
        x = AttnBlock(name="attn_1")(x)
        return ResnetBlock(x.shape[-1], name="block_2")(x)


class Downsample(nn.Module):
    """Halves height and width; zero-pads at the bottom and right only."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        padding = ((0, 1), (0, 1))
        return nn.Conv(x.shape[-1], (3, 3), strides=2, padding=padding, name="conv")(x)


class Encoder(nn.Module):
    """Encodes pictures [..., S, S, 3] as features [..., S / 8, S / 8, 8]."""

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = conv(self.width, "conv_in")(x)
        for level, factor in enumerate(LEVELS):
            for block in range(BLOCKS):
                x = ResnetBlock(self.width * factor, name=f"down_{level}_block_{block}")(x)
            if level + 1 < len(LEVELS):
                x = Downsample(name=f"down_{level}_downsample")(x)
        x = Middle(name="mid")(x)
        return conv(2 * LATENT_CHANNELS, "conv_out")(nn.silu(_norm("norm_out")(x)))


class Decoder(nn.Module):
    """Decodes features [..., s, s, 4] to pictures [..., 8 s, 8 s, 3]."""

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = conv(self.width * LEVELS[-1], "conv_in")(x)
        x = Middle(name="mid")(x)
        for level in reversed(range(len(LEVELS))):
            for block in range(BLOCKS + 1):
                x = ResnetBlock(self.width * LEVELS[level], name=f"up_{level}_block_{block}")(x)
            if level:
                x = Upsample(name=f"up_{level}_upsample")(x)
        return conv(3, "conv_out")(nn.silu(_norm("norm_out")(x)))


class Autoencoder(nn.Module):
    """Encoder and decoder of unscaled latents, see `spec.LATENT_SCALE`.

    Attributes:
      width: channels of the first level.
    """

    width: int

    def setup(self) -> None:
        """Creates the submodules (called by Flax)."""
        self.encoder = Encoder(self.width)
        self.decoder = Decoder(self.width)
        self.quant_conv = nn.Conv(2 * LATENT_CHANNELS, (1, 1))
        self.post_quant_conv = nn.Conv(LATENT_CHANNELS, (1, 1))

    def encode(self, images: Array) -> Array:
        """Encodes pictures [N, S, S, 3] in [-1, 1]; returns moments [N, S / 8, S / 8, 8].

        `posterior` turns the moments into a mean and a standard deviation.
        """
        return self.quant_conv(self.encoder(images))

    def decode(self, latents: Array) -> Array:
        """Decodes latents [N, s, s, 4] to pictures [N, 8 s, 8 s, 3], about in [-1, 1]."""
        return self.decoder(self.post_quant_conv(latents))

    def __call__(self, images: Array) -> Array:
        """Reconstructs pictures from the mean of their latent."""
        return self.decode(posterior(self.encode(images))[0])


def posterior(moments: Array) -> tuple[Array, Array]:
    """Mean and standard deviation [..., 4] float32 of a latent, from moments [..., 8]."""
    mean, log_variance = jnp.split(moments.astype(jnp.float32), 2, -1)
    return mean, jnp.exp(0.5 * jnp.clip(log_variance, *LOG_VARIANCE))
