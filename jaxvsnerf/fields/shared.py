"""SHARED: the layers common to all views, and the fully connected layers of every part."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.types import Array

HIGHEST = jax.lax.Precision.HIGHEST
kernel_init = nn.initializers.he_uniform()
# Matrix units need sizes that are multiples of this; encodings are zero-padded accordingly.
ALIGNMENT = 8


def matmul_precision(dtype: Any) -> jax.lax.Precision | None:
    """Full precision for float32 products, which accelerators otherwise run in TF32 or bf16."""
    return HIGHEST if dtype == jnp.float32 else None


def dense(features: int, dtype: Any, name: str, kernel=kernel_init) -> nn.Dense:
    """A fully connected layer with float32 parameters and products in `dtype`.

    bf16 products accumulate in float32 in the hardware.

    Args:
      features: number of outputs.
      dtype: of the products.
      name: name of the submodule.
      kernel: initialiser of the kernel.
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
    """Rounds `size` up to a multiple of the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def product(inputs: Array, kernel: Array, out_dtype: Any = None) -> Array:
    """Matrix product in the dtype of the inputs, accumulated in float32.

    Args:
      inputs: [..., K].
      kernel: [K, N], cast to the inputs' dtype.
      out_dtype: of the result; None keeps the inputs' dtype.

    Returns:
      [..., N].
    """
    return jnp.matmul(
        inputs,
        kernel.astype(inputs.dtype),
        precision=matmul_precision(inputs.dtype),
        preferred_element_type=out_dtype or inputs.dtype,
    )


@jax.custom_vjp
def relu_layer(inputs: tuple[Array, ...], kernels: tuple[Array, ...], bias: Array) -> Array:
    """relu(inputs[0] @ kernels[0] + inputs[1] @ kernels[1] + ... + bias).

    Several inputs equal one layer over their concatenation, without the copy. The custom
    backward pass reads the output instead of the pre-activation: a GPU can then fuse bias and
    ReLU into the matrix product. The bias's gradient is summed by a matrix product, too.

    Args:
      inputs: each [..., K], in the dtype of the products.
      kernels: each [K, N] float32.
      bias: [N] float32.

    Returns:
      [..., N] in the inputs' dtype.
    """
    total = sum(product(x, kernel) for x, kernel in zip(inputs, kernels, strict=True))
    return nn.relu(total + bias.astype(total.dtype))


def _relu_layer_forward(inputs, kernels, bias):
    outputs = relu_layer(inputs, kernels, bias)
    return outputs, (inputs, kernels, outputs)


def _relu_layer_backward(saved, grads):
    inputs, kernels, outputs = saved
    # Not `> 0`: XLA would rewrite that to test the pre-activation, and have to store it.
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
    """Rows start ... start + num - 1 of a kernel [K, N], zero-padded to [padded, N]."""
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
    """Applies some layers of NeRF's MLP, inside a compact module.

    Args:
      hidden: [..., width] output of the previous layer, or None before layer 0.
      encoding: [..., aligned(size)] input of layer 0, and of layer `skip` beside `hidden`.
      size: features of the encoding without the padding.
      layers: indices of the layers to apply.
      width: features of every layer.
      skip: index of the layer that reads the encoding again.
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
    """Layers 0 ... num_layers - 1: encoding [..., aligned(size)] -> hidden [..., width].

    Attributes: see `apply_layers`.
    """

    size: int
    num_layers: int
    width: int
    skip: int
    dtype: Any

    @nn.compact
    def __call__(self, encoding: Array) -> Array:
        layers = range(self.num_layers)
        return apply_layers(None, encoding, self.size, layers, self.width, self.skip, self.dtype)
