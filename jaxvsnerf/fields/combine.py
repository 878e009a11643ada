"""COMBINE: merges the features of V views into one, by self-attention or by the mean."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxvsnerf.fields.shared import dense, matmul_precision
from jaxvsnerf.types import Array


def mean_token(tokens: Array, token_mask: Array) -> Array:
    """Averages the tokens of the views that take part.

    Args:
      tokens: [V, ..., S, F].
      token_mask: [V, ..., 1] bool, true for views that take part, at least one of V.

    Returns:
      [..., S, F].
    """
    # Summed in float32 and divided once: weights 1 / V rounded to bf16 would not sum to 1.
    total = jnp.sum(tokens, 0, dtype=jnp.float32, where=token_mask[..., None])
    return (total / jnp.sum(token_mask, 0)[..., None]).astype(tokens.dtype)


def attention_shares(scores: Array, token_mask: Array) -> Array:
    """Softmax attention weights, averaged over the queries.

    Args:
      scores: [..., S, H, V, V] logits, queries then keys.
      token_mask: [V, ..., 1] bool; a masked view is left out as query and as key.

    Returns:
      [..., S, H, V] share of each key's value in the mean output; sums to 1.
    """
    mask = jnp.moveaxis(token_mask, 0, -1)[..., None, :]  # [..., 1, 1, V]
    scores = jnp.where(mask[..., None, :], scores, -jnp.inf)
    weights = jnp.exp(scores - jnp.max(scores, -1, keepdims=True))
    weights = weights / jnp.sum(weights, -1, keepdims=True)
    asking = mask / jnp.sum(mask, -1, keepdims=True)
    return jnp.sum(weights * asking[..., None], -2)


class AttentionCombiner(nn.Module):
    """Residual multi-head self-attention over the view axis, then the mean token.

    mean_v (t_v + W_o sum_u a_vu W_v t_u) = mean_v t_v + W_o W_v sum_u (mean_v a_vu) t_u:
    attention weights are averaged over the queries first, so that values and outputs are
    computed once instead of once per view. The function is the same, with V times fewer products.

    Paper: self-attention over the n view features gives one feature.
    Choice: residual with an output projection that starts at zero (the first fused step
    equals the mean of the branches), and mean over the tokens of views that take part. Queries and
    keys are narrower than values: choosing between views needs fewer features than describing the
    point. Runs of earlier settings add, where the ray's direction is known, a linear term of
    (cos, cos^2) of the angle between ray and view to queries and keys; density and colour then
    depend on the direction.

    Attributes:
      num_heads: H, a divisor of F.
      key_size: features of queries and keys, per head.
      angle_term: whether queries and keys depend on the angle between ray and view.
      dtype: of the matrix products.
    """

    num_heads: int
    key_size: int
    angle_term: bool
    dtype: Any

    @nn.compact
    def __call__(self, tokens: Array, token_mask: Array, cosines: Array | None) -> Array:
        """Merges the views' tokens.

        Args:
          tokens: [V, ..., S, F].
          token_mask: [V, ..., 1] bool, true for views that take part, at least one of V.
          cosines: [V, ..., 1] cosine of the angle between ray and optical axis, or None to leave
            the angle term out.

        Returns:
          [..., S, F].
        """
        features = tokens.shape[-1]
        size = features // self.num_heads
        init = nn.initializers.lecun_normal()
        precision = matmul_precision(self.dtype)
        heads = (*tokens.shape[:-1], self.num_heads, self.key_size)
        keys = self.num_heads * self.key_size
        query = dense(keys, self.dtype, "query", init)(tokens)
        key = dense(keys, self.dtype, "key", init)(tokens)
        if self.angle_term:
            kernels = [self.param(f"{name}_angle", init, (2, keys)) for name in ("query", "key")]
            if cosines is not None:
                cos = cosines[..., None]
                # Elementwise: a matrix product with two rows would not pay.
                query, key = (
                    x + (cos * kernel[0] + cos**2 * kernel[1]).astype(self.dtype)
                    for x, kernel in zip((query, key), kernels, strict=True)
                )
        # Views are the last axes: the layout in which batched small products read and write.
        scores = jnp.einsum(
            "q...hd,k...hd->...hqk",
            query.reshape(heads),
            key.reshape(heads),
            preferred_element_type=jnp.float32,
            precision=precision,
        )
        shares = attention_shares(scores / jnp.sqrt(self.key_size), token_mask)
        mixed = jnp.einsum(
            "...hv,v...f->...hf", shares.astype(self.dtype), tokens, precision=precision
        )
        per_head = nn.initializers.lecun_normal(in_axis=0, out_axis=(1, 2))
        value = self.param("value", per_head, (features, self.num_heads, size))
        value = value.astype(self.dtype)
        refined = jnp.einsum("...hf,fhd->...hd", mixed, value, precision=precision)
        flat = refined.reshape(*refined.shape[:-2], features)
        update = dense(features, self.dtype, "out", nn.initializers.zeros)(flat)
        return mean_token(tokens, token_mask) + update
