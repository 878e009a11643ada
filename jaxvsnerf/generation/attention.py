"""Transformer blocks of the UNet: self-attention and cross-attention to a context."""

from __future__ import annotations

import re

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.generation.layers import GroupNorm, conv, layer_norm
from jaxvsnerf.generation.spec import UNET_HEADS
from jaxvsnerf.types import Array

# Longest head that cuDNN's fused attention supports on every GPU that has the kernel. The UNet's
# longer heads are at its lowest resolutions, which have few tokens.
FUSED_HEAD_DIM = 128
FUSED_CAPABILITY = 8.0
# Logits held in memory at a time without fused attention. On a CPU one picture at a time takes an
# eighth of the time of a whole batch, which allocates new memory for its logits.
MAX_LOGITS = 2**23


def attend(q: Array, k: Array, v: Array) -> Array:
    """Multi-head attention softmax(q k^T / sqrt(D)) v; cuDNN's fused kernel where available.

    Args:
      q: [N, T, H, D] queries.
      k: [N, S, H, D] keys.
      v: [N, S, H, D] values.

    Returns:
      [N, T, H, D].
    """
    fused = q.dtype in (jnp.bfloat16, jnp.float16) and q.shape[-1] <= FUSED_HEAD_DIM
    if fused and q.shape[-1] % 8 == 0 and _has_fused_attention():
        return jax.nn.dot_product_attention(q, k, v, implementation="cudnn")
    pictures = max(1, MAX_LOGITS // (q.shape[1] * q.shape[2] * k.shape[1]))
    return jax.lax.map(_attend, (q, k, v), batch_size=min(pictures, len(q)))


def _attend(given: tuple[Array, Array, Array]) -> Array:
    """Attention of one picture's tokens [T, H, D]."""
    q, k, v = given
    logits = jnp.einsum("thd,shd->hts", q, k, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(logits * q.shape[-1] ** -0.5)
    return jnp.einsum("hts,shd->thd", weights.astype(v.dtype), v)


def _has_fused_attention() -> bool:
    """Whether the first device is an NVIDIA GPU from Ampere on; only those report "major.minor"."""
    capability = str(getattr(jax.local_devices()[0], "compute_capability", ""))
    return bool(re.fullmatch(r"\d+\.\d+", capability)) and float(capability) >= FUSED_CAPABILITY


class CrossAttention(nn.Module):
    """Attention of tokens [N, T, C] to a context [N, S, c].

    A context of one token has softmax weight 1: the result is the token's value, without queries
    and keys.
    """

    @nn.compact
    def __call__(self, x: Array, context: Array) -> Array:
        width = x.shape[-1]
        values = nn.Dense(width, use_bias=False, name="to_v")(context)
        if context.shape[1] > 1:
            queries = nn.Dense(width, use_bias=False, name="to_q")(x)
            keys = nn.Dense(width, use_bias=False, name="to_k")(context)
            heads = (y.reshape(*y.shape[:-1], UNET_HEADS, -1) for y in (queries, keys, values))
            values = attend(*heads).reshape(x.shape)
        return nn.Dense(width, name="to_out_0")(values)


class FeedForward(nn.Module):
    """Feed-forward network [..., C] -> [..., C] with a GEGLU gate; exact GELU."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        width = x.shape[-1]
        y, gate = jnp.split(nn.Dense(8 * width, name="net_0_proj")(x), 2, -1)
        return nn.Dense(width, name="net_2")(y * nn.gelu(gate, approximate=False))


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward, each pre-normed with a skip connection."""

    @nn.compact
    def __call__(self, x: Array, context: Array) -> Array:
        normed = layer_norm("norm1")(x)
        x = x + CrossAttention(name="attn1")(normed, normed)
        x = x + CrossAttention(name="attn2")(layer_norm("norm2")(x), context)
        return x + FeedForward(name="ff")(layer_norm("norm3")(x))


class SpatialTransformer(nn.Module):
    """A transformer block over the pixels of features [N, h, w, C], with a context [N, S, c]."""

    @nn.compact
    def __call__(self, x: Array, context: Array) -> Array:
        y = conv(x.shape[-1], "proj_in", size=1)(GroupNorm(32, 1e-6, name="norm")(x))
        y = y.reshape(len(x), -1, x.shape[-1])
        y = TransformerBlock(name="transformer_blocks_0")(y, context).reshape(x.shape)
        return x + conv(x.shape[-1], "proj_out", size=1)(y)
