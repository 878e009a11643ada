"""SHARED: the layers that all views have in common."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.types import Array

HIGHEST = jax.lax.Precision.HIGHEST
kernel_init = nn.initializers.he_uniform()


def matmul_precision(dtype: Any) -> jax.lax.Precision | None:
    """float32 means float32, not the TF32 or bf16 that accelerators take by default."""
    return HIGHEST if dtype == jnp.float32 else None


def dense(features: int, dtype: Any, name: str, kernel=kernel_init) -> nn.Dense:
    """A fully connected layer: parameters in float32, products in `dtype`.

    bf16 products accumulate in float32 in the hardware.
    """
    return nn.Dense(
        features, dtype=dtype, precision=matmul_precision(dtype), kernel_init=kernel, name=name
    )


def apply_layers(
    hidden: Array | None, encoding: Array, layers: range, width: int, skip: int, dtype: Any
) -> Array:
    """Layers `layers` of NeRF's MLP, inside a compact module.

    Args:
      hidden: [..., width] output of the layer before, None before layer 0.
      encoding: [..., E]; layer 0 reads it, and layer `skip` reads it beside `hidden`.
      layers: which layers to apply.
      width: features of every layer.
      skip: the layer at which the encoding is fed in again.
      dtype: of the products.

    Returns:
      [..., width] after the last layer's ReLU.

    Source: NeRF (arXiv:2003.08934) figure 7.
    """
    encoding = encoding.astype(dtype)
    for index in layers:
        if hidden is None:
            inputs = encoding
        elif index == skip:
            inputs = jnp.concatenate([encoding, hidden], -1)
        else:
            inputs = hidden
        hidden = nn.relu(dense(width, dtype, f"layer_{index}")(inputs))
    return hidden


class SharedLayers(nn.Module):
    """Layers 0 ... num_layers - 1. encoding [..., E] -> hidden [..., width]."""

    num_layers: int
    width: int
    skip: int
    dtype: Any

    @nn.compact
    def __call__(self, encoding: Array) -> Array:
        return apply_layers(
            None, encoding, range(self.num_layers), self.width, self.skip, self.dtype
        )
