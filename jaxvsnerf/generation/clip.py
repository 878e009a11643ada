"""CLIP's image encoder, ViT-L/14.

Source: Radford et al. 2021 (arXiv:2103.00020).
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.generation.layers import layer_norm
from jaxvsnerf.generation.spec import CLIP_HEAD_DIM, CLIP_PATCH, CLIP_SIZE, CONTEXT_DIM
from jaxvsnerf.types import Array

# Per-channel statistics of CLIP's training pictures, for values in [0, 1].
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
CUBIC = -0.75  # the bicubic kernel's coefficient a, PyTorch's choice


def resize_matrix(given: int, wanted: int) -> np.ndarray:
    """Bicubic interpolation along one axis, as a matrix [wanted, given] float32.

    Corners are aligned, there is no antialiasing, and pixels beyond an edge repeat the edge.
    Positions are float32, as in the original's resize.
    """
    scale = np.float32(given - 1) / np.float32(wanted - 1)
    position = scale * np.arange(wanted, dtype=np.float32)
    first = np.floor(position).astype(np.int64)
    offset = (position - first).astype(np.float64)
    matrix = np.zeros((wanted, given))
    for tap in range(-1, 3):
        column = np.clip(first + tap, 0, given - 1)
        np.add.at(matrix, (np.arange(wanted), column), _cubic(np.abs(offset - tap)))
    return matrix.astype(np.float32)


def _cubic(x: np.ndarray) -> np.ndarray:
    near = (CUBIC + 2.0) * x**3 - (CUBIC + 3.0) * x**2 + 1.0
    far = CUBIC * (x**3 - 5.0 * x**2 + 8.0 * x - 4.0)
    return np.where(x <= 1.0, near, np.where(x < 2.0, far, 0.0))


def clip_input(images: Array) -> Array:
    """Resizes square pictures [N, S, S, 3] in [-1, 1] and normalises: [N, 224, 224, 3] float32."""
    matrix = resize_matrix(images.shape[1], CLIP_SIZE)
    images = jnp.einsum("yh,nhwc,xw->nyxc", matrix, images.astype(jnp.float32), matrix)
    return (0.5 * (images + 1.0) - MEAN) / STD


class Attention(nn.Module):
    """Self-attention of tokens [N, T, C]."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        width = x.shape[-1]
        qkv = nn.Dense(3 * width, name="in_proj")(x)
        q, k, v = jnp.split(qkv.reshape(*x.shape[:-1], -1, CLIP_HEAD_DIM), 3, axis=-2)
        return nn.Dense(width, name="out_proj")(
            jax.nn.dot_product_attention(q, k, v).reshape(x.shape)
        )


class Mlp(nn.Module):
    """Two dense layers with QuickGELU, x sigmoid(1.702 x), between."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        y = nn.Dense(4 * x.shape[-1], name="c_fc")(x)
        return nn.Dense(x.shape[-1], name="c_proj")(y * nn.sigmoid(1.702 * y))


class Block(nn.Module):
    """A pre-norm transformer block of tokens [N, T, C]."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = x + Attention(name="attn")(layer_norm("ln_1")(x))
        return x + Mlp(name="mlp")(layer_norm("ln_2")(x))


class Transformer(nn.Module):
    """A stack of transformer blocks."""

    layers: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for index in range(self.layers):
            x = Block(name=f"resblocks_{index}")(x)
        return x


class ClipImage(nn.Module):
    """Embeds pictures [N, 224, 224, 3], prepared by `clip_input`, as [N, 768].

    Attributes:
      width: channels of the tokens.
      layers: number of transformer blocks.
    """

    width: int
    layers: int

    @nn.compact
    def __call__(self, images: Array) -> Array:
        patch, normal = (CLIP_PATCH, CLIP_PATCH), nn.initializers.normal(0.02)
        x = nn.Conv(self.width, patch, strides=patch, use_bias=False, name="conv1")(images)
        x = x.reshape(len(x), -1, self.width)
        first = self.param("class_embedding", normal, (self.width,))
        first = jnp.broadcast_to(first.astype(x.dtype), (len(x), 1, self.width))
        x = jnp.concatenate([first, x], 1)
        x = x + self.param("positional_embedding", normal, x.shape[1:]).astype(x.dtype)
        x = Transformer(self.layers, name="transformer")(layer_norm("ln_pre")(x))
        x = layer_norm("ln_post")(x[:, 0])
        return x @ self.param("proj", normal, (self.width, CONTEXT_DIM)).astype(x.dtype)
