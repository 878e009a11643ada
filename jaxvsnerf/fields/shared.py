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
def relu_layer(inputs: tuple[Array, ...], kernels: tuple[Array, ...], bias: Array) -> Array:
    """relu(inputs[0] @ kernels[0] + inputs[1] @ kernels[1] + ... + bias).

    Several inputs are a layer that reads them side by side, without the copy. Its own
    backward pass reads the output instead of what went into the ReLU, so that a GPU's
    matrix product adds the bias and cuts at zero by itself, and sums the bias's gradient in
    a product.

    Args:
      inputs: each [..., K] in the type of the products.
      kernels: each [K, N] float32.
      bias: [N] float32.

    Returns:
      [..., N] in the inputs' type.
    """
    total = sum(product(x, kernel) for x, kernel in zip(inputs, kernels, strict=True))
    return nn.relu(total + bias.astype(total.dtype))


def _relu_layer_forward(inputs, kernels, bias):
    outputs = relu_layer(inputs, kernels, bias)
    return outputs, (inputs, kernels, outputs)


def _relu_layer_backward(saved, grads):
    inputs, kernels, outputs = saved
    # Not `> 0`: XLA would ask that of what went into the ReLU, and have to keep it.
    grads = jnp.where(outputs != 0, grads, 0)
    ones = jnp.ones((*grads.shape[:-1], ALIGNMENT), grads.dtype)
    return (
        tuple(product(grads, kernel.T) for kernel in kernels),
        tuple(kernel_gradient(x, grads) for x in inputs),
        kernel_gradient(ones, grads)[0],
    )


relu_layer.defvjp(_relu_layer_forward, _relu_layer_backward)


def kernel_gradient(inputs: Array, grads: Array) -> Array:
    """Gradient [K, N] float32 of a kernel, given inputs [..., K] and gradients [..., N]."""
    rows = inputs.reshape(-1, inputs.shape[-1])
    return product(rows.T, grads.reshape(-1, grads.shape[-1]), jnp.float32)


def _rows(kernel: Array, start: int, num: int, padded: int) -> Array:
    """Rows start ... start + num of a kernel [K, N], with zeros up to [padded, N]."""
    if num < kernel.shape[0]:
        kernel = kernel[start : start + num]
    return kernel if num == padded else jnp.pad(kernel, ((0, padded - num), (0, 0)))


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
        parts = [(encoding, size)] if hidden is None or index == skip else []
        parts += [] if hidden is None else [(hidden, width)]
        kernel, bias = Affine(sum(rows for _, rows in parts), width, name=f"layer_{index}")()
        kernels, start = [], 0
        for inputs, rows in parts:
            kernels.append(_rows(kernel, start, rows, inputs.shape[-1]))
            start += rows
        hidden = relu_layer(tuple(inputs for inputs, _ in parts), tuple(kernels), bias)
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
