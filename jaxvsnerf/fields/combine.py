"""COMBINE: n view features become one, by self-attention or by their plain mean."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxvsnerf.fields.shared import dense
from jaxvsnerf.types import Array


def mean_token(tokens: Array, token_mask: Array) -> Array:
    """Mean over the views that take part.

    Args:
      tokens: [V, ..., S, F].
      token_mask: [V, ..., 1] bool, at least one true along V.

    Returns:
      [..., S, F].
    """
    share = token_mask / jnp.sum(token_mask, 0)
    return jnp.sum(tokens * share[..., None].astype(tokens.dtype), 0)


def attention_shares(scores: Array, token_mask: Array) -> Array:
    """How much each view contributes once all refined tokens are averaged.

    Args:
      scores: [V, V, ..., S, H], queries then keys.
      token_mask: [V, ..., 1] bool; a view that is out neither asks nor answers.

    Returns:
      [V, ..., S, H] shares over the keys, which sum to 1.
    """
    mask = token_mask[..., None]
    scores = jnp.where(mask[None], scores, -jnp.inf)
    weights = jnp.exp(scores - jnp.max(scores, 1, keepdims=True))
    weights = weights / jnp.sum(weights, 1, keepdims=True)
    return jnp.sum(weights * (mask / jnp.sum(mask, 0))[:, None], 0)


class AttentionCombiner(nn.Module):
    """Residual multi-head self-attention over the view axis, then the mean token.

    mean_v (t_v + W_o sum_u a_vu W_v t_u) = mean_v t_v + W_o W_v sum_u (mean_v a_vu) t_u:
    the mean over queries is taken of the attention weights, so that neither values nor
    outputs exist per view. Exactly the same function, n times fewer products.

    Paper: self-attention over the n view features gives one feature.
    Choice: residual with an output projection that starts at zero (the first fused step
    equals the mean of the branches), mean over the tokens that took part, and, where the
    ray's direction is known, a linear term of (cos, cos^2) of the angle between ray and
    view in queries and keys.
    """

    num_heads: int
    angle_term: bool
    dtype: Any

    @nn.compact
    def __call__(self, tokens: Array, token_mask: Array, cosines: Array | None) -> Array:
        """tokens [V, ..., S, F], token_mask [V, ..., 1], cosines [V, ..., 1] -> [..., S, F]."""
        features = tokens.shape[-1]
        size = features // self.num_heads
        init = nn.initializers.lecun_normal()
        heads = (*tokens.shape[:-1], self.num_heads, size)
        query = dense(features, self.dtype, "query", init)(tokens)
        key = dense(features, self.dtype, "key", init)(tokens)
        if self.angle_term:
            angles = jnp.zeros((1, 2)) if cosines is None else jnp.stack([cosines, cosines**2], -1)
            kernels = [
                self.param(f"{name}_angle", init, (2, features)) for name in ("query", "key")
            ]
            if cosines is not None:
                query = query + (angles @ kernels[0]).astype(self.dtype)
                key = key + (angles @ kernels[1]).astype(self.dtype)
        scores = jnp.einsum(
            "q...hd,k...hd->qk...h",
            query.reshape(heads),
            key.reshape(heads),
            preferred_element_type=jnp.float32,
        )
        shares = attention_shares(scores / jnp.sqrt(size), token_mask)
        mixed = jnp.einsum("v...h,v...f->...hf", shares.astype(self.dtype), tokens)
        value = self.param("value", init, (features, self.num_heads, size))
        refined = jnp.einsum("...hf,fhd->...hd", mixed, value.astype(self.dtype))
        flat = refined.reshape(*refined.shape[:-2], features)
        update = dense(features, self.dtype, "out", nn.initializers.zeros)(flat)
        return mean_token(tokens, token_mask) + update
