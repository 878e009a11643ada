"""SHARED: the layers common to all views, and the fully connected layers of every part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.types import Array

HIGHEST = jax.lax.Precision.HIGHEST
kernel_init = nn.initializers.he_uniform()
# Matrix units need sizes that are multiples of this; encodings are zero-padded accordingly.
ALIGNMENT = 8


@dataclass(frozen=True)
class LayerStyle:
    """What a decoder asks of the layers before it.

    Attributes:
      dtype: of the matrix products.
      beta: 0 for ReLU layers; else layers of softplus(beta x) / beta, which have second
        derivatives and start as a sphere (`geometric_kernel`).
      precision: of the products of softplus layers.
    """

    dtype: Any
    beta: float = 0.0
    precision: jax.lax.Precision = HIGHEST


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
    init: Callable[..., Array] = kernel_init

    @nn.compact
    def __call__(self) -> tuple[Array, Array]:
        kernel = self.param("kernel", self.init, (self.inputs, self.outputs))
        return kernel, self.param("bias", nn.initializers.zeros, (self.outputs,))


def aligned(size: int) -> int:
    """Rounds `size` up to a multiple of the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def product(
    inputs: Array,
    kernel: Array,
    out_dtype: Any = None,
    precision: jax.lax.Precision | None = None,
) -> Array:
    """Matrix product in the dtype of the inputs, accumulated in float32.

    Args:
      inputs: [..., K].
      kernel: [K, N], cast to the inputs' dtype.
      out_dtype: of the result; None keeps the inputs' dtype.
      precision: None is that of `matmul_precision`.

    Returns:
      [..., N].
    """
    return jnp.matmul(
        inputs,
        kernel.astype(inputs.dtype),
        precision=precision or matmul_precision(inputs.dtype),
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


def softplus_layer(
    inputs: tuple[Array, ...], kernels: tuple[Array, ...], bias: Array, style: LayerStyle
) -> Array:
    """softplus(beta x) / beta of x = (sum of inputs[i] @ kernels[i]) / sqrt(number) + bias.

    Differentiable any number of times, in forward and reverse mode.

    Args:
      inputs: each [..., K] float32.
      kernels: each [K, N] float32.
      bias: [N] float32.
      style: with `beta`, larger numbers of which are closer to ReLU.

    Returns:
      [..., N] float32.

    Source: NeuS (arXiv:2106.10689) supplement B; the division of a skip connection's two inputs by
    sqrt(2) is IDR's (arXiv:2003.09852).
    """
    pairs = zip(inputs, kernels, strict=True)
    total = sum(product(x, kernel, precision=style.precision) for x, kernel in pairs)
    return jax.nn.softplus(style.beta * (total / len(inputs) ** 0.5 + bias)) / style.beta


def geometric_kernel(encoding: int, position: int) -> Callable[..., Array]:
    """Initialiser with which softplus layers start close to the distance from a sphere.

    Args:
      encoding: number of first rows that read the encoding of the position, 0 for none.
      position: first of the three rows that read the position itself; the encoding's other rows
        start at zero.

    Source: SAL (arXiv:1911.10414) theorem 1; with an encoding, IDR (arXiv:2003.09852).
    """

    def init(key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> Array:
        kernel = jax.random.normal(key, shape, dtype) * (2.0 / shape[1]) ** 0.5
        row = jnp.arange(shape[0])
        waves = (row < encoding) & ((row < position) | (row >= position + 3))
        return jnp.where(waves[:, None], 0.0, kernel)

    return init


def apply_layers(
    hidden: Array | None,
    encoding: Array,
    size: int,
    position: int,
    layers: range,
    width: int,
    skip: int,
    style: LayerStyle,
) -> Array:
    """Applies some layers of NeRF's MLP, inside a compact module.

    Args:
      hidden: [..., width] output of the previous layer, or None before layer 0.
      encoding: [..., aligned(size)] input of layer 0, and of layer `skip` beside `hidden`.
      size: features of the encoding without the padding.
      position: first of the encoding's three features that are the position itself.
      layers: indices of the layers to apply.
      width: features of every layer.
      skip: index of the layer that reads the encoding again.
      style: activation, initialisation and dtype of the layers.

    Returns:
      [..., width] after the last layer's activation.

    Source: NeRF (arXiv:2003.08934) figure 7.
    """
    encoding = encoding.astype(style.dtype)
    for index in layers:
        parts = [(encoding, size)] if hidden is None or index == skip else []
        init = geometric_kernel(size * len(parts), position) if style.beta else kernel_init
        parts += [] if hidden is None else [(hidden, width)]
        inputs = tuple(one for one, _ in parts)
        kernel, bias = Affine(sum(rows for _, rows in parts), width, init, name=f"layer_{index}")()
        kernels, start = [], 0
        for one, rows in parts:
            kernels.append(_rows(kernel, start, rows, one.shape[-1]))
            start += rows
        if style.beta:
            hidden = softplus_layer(inputs, tuple(kernels), bias, style)
        else:
            hidden = relu_layer(inputs, tuple(kernels), bias)
    return hidden


class SharedLayers(nn.Module):
    """Layers 0 ... num_layers - 1: encoding [..., aligned(size)] -> hidden [..., width].

    Attributes: see `apply_layers`.
    """

    size: int
    position: int
    num_layers: int
    width: int
    skip: int
    style: LayerStyle

    @nn.compact
    def __call__(self, encoding: Array) -> Array:
        shape = self.size, self.position, range(self.num_layers), self.width, self.skip
        return apply_layers(None, encoding, *shape, self.style)
