"""DECODE: the other end of the field. Radiance; signed distance and reflectance fit here."""

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

    Nothing bends between the bottleneck and the layer after it, so that their kernels are
    multiplied first and samples pass through one layer instead of two; what the direction
    adds is computed once a ray. The same function, rounding apart.

    Source: NeRF (arXiv:2003.08934) figure 7.
    """

    width: int
    dir_freqs: int
    dtype: Any

    @nn.compact
    def __call__(self, feature: Array, viewdirs: Array | None) -> tuple[Array, Array]:
        """feature [..., S, F], viewdirs [..., 3] or None -> logits [..., S, 1], [..., S, 3].

        Without directions colour is that of the direction 0.
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
    """inputs @ kernel + bias in float32: density is exponentiated."""
    outputs = kernel.shape[-1]
    missing = aligned(outputs) - outputs
    kernel, bias = jnp.pad(kernel, ((0, 0), (0, missing))), jnp.pad(bias, (0, missing))
    return _linear_layer(inputs, kernel, bias)[..., :outputs]


@jax.custom_vjp
def _linear_layer(inputs: Array, kernel: Array, bias: Array) -> Array:
    """inputs @ kernel + bias in float32, the products of its backward pass in the inputs' type."""
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
    """Density and colour from the trunk's feature.

    Args:
      heads: the module.
      params: its parameters.
      trunk: samples -> feature [..., S, F]; a function, since other decoders
        differentiate through it with respect to position.
      samples: where.
      activation: of the density, `softplus` or `relu`.
      scale: density = scale * activation(logit + shift), per cube side.
      shift: see scale.
      view_dependent: False zeroes the direction before its encoding.

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
