"""Depth-wise attention: each pixel attends to the frustum features along the pixel's ray.

Source: Liu et al. 2023, SyncDreamer (arXiv:2309.03453), section 3.3.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.generation.layers import GroupNorm, conv
from jaxvsnerf.generation.spec import DEPTH_HEADS
from jaxvsnerf.types import Array


class DepthAttention(nn.Module):
    """Attention of pixels [M, h, w, 2 e] to D points per ray of frustum volumes [M, D, h, w, e].

    Keys and values are linear in the volume, which has D times more points than there are pixels.
    The key projection is therefore applied to the queries, and the value projection to the
    attention-weighted sum of the volume.
    """

    @nn.compact
    def __call__(self, x: Array, volume: Array, constant: Array) -> tuple[Array, Array]:
        """Attends to a volume and, at little cost, to a constant volume.

        Args:
          x: [M, h, w, 2 e] features that queries are made from.
          volume: [M, D, h, w, e].
          constant: [e] features of a volume that is the same at every point.

        Returns:
          Attention to `volume` [M, h, w, 2 e] and to the constant volume [1, 1, 1, 2 e].
        """
        given, width = volume.shape[-1], x.shape[-1]
        dim = width // DEPTH_HEADS
        queries = conv(width, "to_q", size=1, bias=False)(x)
        queries = queries.reshape(*x.shape[:-1], DEPTH_HEADS, dim)
        keys, values = (
            _Kernel((1, 1, 1, given, width), name=name)().reshape(given, DEPTH_HEADS, dim)
            for name in ("to_k", "to_v")
        )
        queries, keys, values = nn.dtypes.promote_dtype(queries, keys, values)
        queries = jnp.einsum("nhwad,ead->nhwae", queries, keys)
        logits = jnp.einsum(
            "nhwae,nzhwe->nhwaz", queries, volume, preferred_element_type=jnp.float32
        )
        weights = jax.nn.softmax(logits * dim**-0.5).astype(volume.dtype)
        seen = jnp.einsum("nhwaz,nzhwe->nhwae", weights, volume)
        out = conv(width, "to_out", size=1, bias=False)
        attended = jnp.einsum("nhwae,ead->nhwad", seen, values).reshape(x.shape)
        same = jnp.einsum("e,ead->ad", constant, values).reshape(1, 1, 1, width)
        return out(attended), out(same)


class _Kernel(nn.Module):
    """The kernel of a convolution, as a bare parameter."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self) -> Array:
        return self.param("kernel", nn.initializers.lecun_normal(), self.shape)


class DepthTransformer(nn.Module):
    """Depth attention of features [N, h, w, C] to volumes [M, D, h, w, e], with a skip connection.

    The first M pictures have a volume. The volumes of the other N - M pictures are zero and, once
    normed, equal the norm's bias at every point. Attention to such a constant volume gives the
    same result at every pixel, so that result is computed once.
    """

    @nn.compact
    def __call__(self, x: Array, volume: Array) -> Array:
        given, width = volume.shape[-1], 2 * volume.shape[-1]
        seen = x[: len(volume)]
        queries = nn.silu(GroupNorm(8, name="proj_in_1")(conv(width, "proj_in_0", size=1)(seen)))
        volume = conv(given, "proj_context_0", ndim=3, size=1, bias=False)(volume)
        norm = GroupNorm(8, name="proj_context_1")
        volume = nn.relu(norm(volume))
        constant = nn.relu(norm.variables["params"]["bias"]).astype(volume.dtype)
        attended, same = DepthAttention(name="depth_attn")(queries, volume, constant)
        parts = [attended]
        if len(x) > len(seen):
            parts.append(jnp.broadcast_to(same, (1, *attended.shape[1:])))
        y = jnp.concatenate(parts)
        y = conv(width, "proj_out_2", bias=False)(nn.relu(GroupNorm(8, name="proj_out_0")(y)))
        y = conv(x.shape[-1], "proj_out_5", bias=False)(nn.relu(GroupNorm(8, name="proj_out_3")(y)))
        if len(x) == len(seen):
            return x + y
        others = jnp.broadcast_to(y[-1:], (len(x) - len(seen), *y.shape[1:]))
        return x + jnp.concatenate([y[:-1], others])
