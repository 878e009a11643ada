"""DECODE: the feature to density and colour (NeRF's radiance heads)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.fields.encode import posenc
from jaxvsnerf.fields.shared import Affine, aligned, kernel_gradient, product, relu_layer
from jaxvsnerf.types import Array, FieldOut, Params, Samples

ACTIVATIONS = ("softplus", "relu")


class RadianceHeads(nn.Module):
    """NeRF's heads: density, a linear bottleneck, one layer with the direction, colour.

    No activation separates the bottleneck from the next layer: their kernels are multiplied
    first, and samples pass through one layer instead of two. The direction's contribution is
    computed once per ray. The function is the same up to rounding.

    Attributes:
      width: features of the bottleneck; the layer with the direction has half as many.
      dir_freqs: frequencies of the direction's encoding.
      dtype: of the matrix products.

    Source: NeRF (arXiv:2003.08934) figure 7.
    """

    width: int
    dir_freqs: int
    dtype: Any

    @nn.compact
    def __call__(self, feature: Array, viewdirs: Array | None) -> tuple[Array, Array]:
        """Computes the logits of density and colour.

        Args:
          feature: [..., S, F].
          viewdirs: [..., 3] unit directions, or None for the zero vector.

        Returns:
          Density logits [..., S, 1] and colour logits [..., S, 3], float32.
        """
        inner = self.width // 2
        directions = jnp.zeros(3) if viewdirs is None else viewdirs[..., None, :]
        encoded = posenc(directions, self.dir_freqs)
        linear, shift = Affine(self.width, self.width, name="bottleneck")()
        kernel, bias = Affine(self.width + encoded.shape[-1], inner, name="direction")()
        first, second = kernel[: self.width], kernel[self.width :]
        merged = product(linear, first)
        bias = bias + product(shift, first) + product(encoded, second)
        feature = feature.astype(self.dtype)
        if viewdirs is None:
            hidden = relu_layer((feature,), (merged,), bias)
        else:
            hidden = nn.relu(product(feature, merged) + bias.astype(self.dtype))
        density = _output(feature, *Affine(self.width, 1, name="density")())
        return density, _output(hidden, *Affine(inner, 3, name="rgb")())


def _output(inputs: Array, kernel: Array, bias: Array) -> Array:
    """inputs @ kernel + bias in float32: compositing exponentiates the density."""
    outputs = kernel.shape[-1]
    missing = aligned(outputs) - outputs
    kernel, bias = jnp.pad(kernel, ((0, 0), (0, missing))), jnp.pad(bias, (0, missing))
    return _linear_layer(inputs, kernel, bias)[..., :outputs]


@jax.custom_vjp
def _linear_layer(inputs: Array, kernel: Array, bias: Array) -> Array:
    """inputs @ kernel + bias in float32; the backward pass multiplies in the inputs' dtype."""
    return product(inputs, kernel, jnp.float32) + bias


def _linear_layer_forward(inputs, kernel, bias):
    return _linear_layer(inputs, kernel, bias), (inputs, kernel)


def _linear_layer_backward(saved, grads):
    inputs, kernel = saved
    rows = grads.astype(inputs.dtype)
    bias = jnp.sum(grads, axis=tuple(range(grads.ndim - 1)))
    return product(rows, kernel.T), kernel_gradient(inputs, rows), bias


_linear_layer.defvjp(_linear_layer_forward, _linear_layer_backward)


def decode_radiance(
    heads: RadianceHeads,
    params: Params,
    trunk: Callable[[Samples], Array],
    samples: Samples,
    *,
    activation: str,
    scale: float,
    shift: float,
    view_dependent: bool,
) -> FieldOut:
    """Decodes the trunk's feature to density and colour.

    Args:
      heads: the module of the heads.
      params: parameters of `heads`.
      trunk: samples -> feature [..., S, F]; a function, so that decoders such as NeuS can
        differentiate the feature with respect to position.
      samples: [..., S] samples to evaluate.
      activation: of the density, `softplus` or `relu`.
      scale: factor of density = scale * activation(logit + shift), per side of the cube.
      shift: offset of the density's logit, see `scale`.
      view_dependent: False replaces the direction by zero.

    Returns:
      FieldOut with optical_depth = density * length.
    """
    feature = trunk(samples)
    directions = samples.viewdirs if view_dependent else None
    logit, rgb = heads.apply({"params": params}, feature, directions)
    nonlinear = jax.nn.softplus if activation == "softplus" else jax.nn.relu
    density = scale * nonlinear(logit[..., 0].astype(jnp.float32) + shift)
    return FieldOut(
        optical_depth=density * samples.lengths,
        rgb=jax.nn.sigmoid(rgb.astype(jnp.float32)),
        extras={},
    )
