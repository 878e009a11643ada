"""NeRF's radiance end: the feature to density and colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.fields.decode import Decoder, Trunk, at_points
from jaxvsnerf.fields.encode import posenc
from jaxvsnerf.fields.shared import (
    Affine,
    LayerStyle,
    aligned,
    kernel_gradient,
    product,
    relu_layer,
)
from jaxvsnerf.system.settings import check_spec, setting
from jaxvsnerf.types import Array, Context, FieldOut, Params, Samples

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


@dataclass(frozen=True)
class RadianceSpec:
    """NeRF's end: density and colour."""

    dir_freqs: int = setting(4, "Frequencies of the direction's encoding.", at_least=1, at_most=32)
    view_dependent: bool = setting(False, "Whether colour depends on the viewing direction.")
    density_activation: str = setting(
        "softplus",
        "Function that makes the density positive, for `field.decoder` radiance.",
        choices=ACTIVATIONS,
    )
    density_scale: float = setting(
        10.0,
        "Factor of the density: density = density_scale * activation(logit + density_shift).",
        above=0,
        at_most=1e6,
        unit="per cube side",
    )
    density_shift: float = setting(
        -1.0, "Added to the logit of the density.", at_least=-1000, at_most=1000
    )

    def __post_init__(self):
        check_spec(self, "field")

    def build(self, width: int, position_scale: float, dtype: Any) -> Decoder:
        """The functions of the end.

        Args:
          width: features of the trunk.
          position_scale: not used.
          dtype: of the matrix products.
        """
        heads = RadianceHeads(width, self.dir_freqs, dtype)
        nonlinear = jax.nn.softplus if self.density_activation == "softplus" else jax.nn.relu

        def init(key: Array) -> Params:
            return heads.init(key, jnp.zeros((1, width)), None)["params"]

        def decode(
            params: Params, trunk: Trunk, samples: Samples, context: Context | None
        ) -> FieldOut:
            directions = samples.viewdirs if self.view_dependent else None
            logit, rgb = heads.apply({"params": params}, trunk(samples).color, directions)
            logit = logit[..., 0].astype(jnp.float32)
            density = self.density_scale * nonlinear(logit + self.density_shift)
            return FieldOut(
                optical_depth=density * samples.lengths,
                rgb=jax.nn.sigmoid(rgb.astype(jnp.float32)),
                extras={},
            )

        def density(params: Params, trunk: Trunk, points: Array) -> Array:
            return decode(params, trunk, at_points(points), None).optical_depth[..., 0]

        functions = init, decode, density, density
        return Decoder(LayerStyle(dtype), *functions, level=None, differentiates=False)
