"""SHARED: the layers that all views have in common, and how any layer is computed."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.types import Array

HIGHEST = jax.lax.Precision.HIGHEST
kernel_init = nn.initializers.he_uniform()
# Matrix units want multiples of this; encodings are padded to it with zeros.
ALIGNMENT = 8


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


class Affine(nn.Module):
    """The parameters of a fully connected layer: kernel [inputs, outputs], bias [outputs]."""

    inputs: int
    outputs: int

    @nn.compact
    def __call__(self) -> tuple[Array, Array]:
        kernel = self.param("kernel", kernel_init, (self.inputs, self.outputs))
        return kernel, self.param("bias", nn.initializers.zeros, (self.outputs,))


def aligned(size: int) -> int:
    """`size` rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def product(inputs: Array, kernel: Array, out_dtype: Any = None) -> Array:
    """inputs [..., K] @ kernel [K, N] in the type of the inputs, accumulated in float32."""
    return jnp.matmul(
        inputs,
        kernel.astype(inputs.dtype),
        precision=matmul_precision(inputs.dtype),
        preferred_element_type=out_dtype or inputs.dtype,
    )


@jax.custom_vjp
def relu_layer(inputs: Array, kernel: Array, bias: Array) -> Array:
    """relu(inputs @ kernel + bias).

    Its own backward pass reads the output instead of what went into the ReLU, and sums the
    bias's gradient in a matrix product: on an H200 2.25 ms for NeRF's MLP forward and
    backward over 131,072 samples, the derived one 2.40.

    Args:
      inputs: [..., K] in the type of the products.
      kernel: [K, N] float32.
      bias: [N] float32.

    Returns:
      [..., N] in the inputs' type.
    """
    return nn.relu(product(inputs, kernel) + bias.astype(inputs.dtype))


def _relu_layer_forward(inputs, kernel, bias):
    outputs = relu_layer(inputs, kernel, bias)
    return outputs, (inputs, kernel, outputs)


def _relu_layer_backward(saved, grads):
    inputs, kernel, outputs = saved
    grads = jnp.where(outputs > 0, grads, 0)
    rows = grads.reshape(-1, grads.shape[-1])
    ones = jnp.ones((ALIGNMENT, len(rows)), rows.dtype)
    return (
        product(grads, kernel.T),
        product(inputs.reshape(-1, inputs.shape[-1]).T, rows, jnp.float32),
        product(ones, rows, jnp.float32)[0],
    )


relu_layer.defvjp(_relu_layer_forward, _relu_layer_backward)


def pad_features(encoding: Array) -> Array:
    """[..., E] with zeros up to the alignment."""
    missing = aligned(encoding.shape[-1]) - encoding.shape[-1]
    return jnp.pad(encoding, ((0, 0),) * (encoding.ndim - 1) + ((0, missing),))


def apply_layers(
    hidden: Array | None,
    encoding: Array,
    size: int,
    layers: range,
    width: int,
    skip: int,
    dtype: Any,
) -> Array:
    """Layers `layers` of NeRF's MLP, inside a compact module.

    Args:
      hidden: [..., width] output of the layer before, None before layer 0.
      encoding: [..., aligned(size)]; layer 0 reads it, and layer `skip` reads it beside
        `hidden`.
      size: features of the encoding without what aligns it.
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
        reads = hidden is None or index == skip
        rows = (size if reads else 0) + (0 if hidden is None else width)
        kernel, bias = Affine(rows, width, name=f"layer_{index}")()
        inputs = hidden
        if reads:
            zeros = jnp.zeros((encoding.shape[-1] - size, width))
            kernel = jnp.concatenate([kernel[:size], zeros, kernel[size:]])
            inputs = encoding if hidden is None else jnp.concatenate([encoding, hidden], -1)
        hidden = relu_layer(inputs, kernel, bias)
    return hidden


class SharedLayers(nn.Module):
    """Layers 0 ... num_layers - 1. encoding [..., aligned(size)] -> hidden [..., width]."""

    size: int
    num_layers: int
    width: int
    skip: int
    dtype: Any

    @nn.compact
    def __call__(self, encoding: Array) -> Array:
        layers = range(self.num_layers)
        return apply_layers(None, encoding, self.size, layers, self.width, self.skip, self.dtype)
