"""NeuS's end: a signed distance whose zero set is the surface, and colour."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.fields.decode import Decoder, Features, Trunk, at_points
from jaxvsnerf.fields.encode import posenc
from jaxvsnerf.fields.neus import (
    DISTANCE,
    NORMAL,
    facing,
    head_on_density,
    section_depth,
    unit,
)
from jaxvsnerf.fields.shared import HIGHEST, Affine, LayerStyle, product, relu_layer
from jaxvsnerf.system.settings import Auto, check_spec, setting
from jaxvsnerf.types import Array, Context, FieldOut, Params, Samples


@dataclass(frozen=True)
class SurfaceSpec:
    """Settings of a signed distance field."""

    radius: float = setting(
        0.25,
        "Radius of the sphere that training starts from.",
        above=0,
        at_most=1,
        unit="cube sides",
    )
    beta: float = setting(
        100.0,
        "The layers' activation is softplus(beta x) / beta, which has second derivatives.",
        above=0,
        at_most=1e6,
    )
    hull_steps: int = setting(
        300,
        "Steps in which the distance is fitted to the masks' hull before training; 0 starts from "
        "the sphere, as does training without masks.",
        at_least=0,
        at_most=1_000_000,
    )
    products: str = setting(
        "float32",
        "Type of the distance's matrix products: `float32`, or `tensorfloat32`, which a GPU "
        "computes several times as fast with 10 bits of the factors.",
        choices=("float32", "tensorfloat32"),
        auto=Auto("auto", "`tensorfloat32` on GPUs, `float32` elsewhere"),
    )
    sharpness: float = setting(
        40.0,
        "Sharpness s of the surface at the start: its opacity changes over about 4 / s.",
        above=0,
        at_most=1e6,
        unit="per cube side",
    )
    sharpness_rate: float = setting(
        10.0,
        "The sharpness is exp(rate * v) of a trained number v; a smaller rate changes the "
        "sharpness more slowly.",
        above=0,
        at_most=1000,
    )
    color_layers: int = setting(
        1, "Layers of the colour's MLP before its output.", at_least=1, at_most=64
    )
    color_freqs: int = setting(
        0,
        "Frequencies of the position that colour reads beside the feature. NeuS: 0, the position "
        "alone.",
        at_least=0,
        at_most=32,
    )
    color_normals: bool = setting(True, "Whether colour reads the normal.")

    def __post_init__(self):
        check_spec(self, "field.sdf")


class ColorHead(nn.Module):
    """NeuS's colour: (feature, position, normal, direction) -> logits of rgb.

    Attributes:
      width: features of each layer.
      layers: number of layers before the output.
      dtype: of the matrix products.

    Source: IDR (arXiv:2003.09852) section 3.2.
    """

    width: int
    layers: int
    dtype: Any

    @nn.compact
    def __call__(self, feature: Array, others: Array) -> Array:
        """Logits [..., S, 3] float32, of features [..., S, F] and further inputs [..., S, C]."""
        inputs = feature.astype(self.dtype), others.astype(self.dtype)
        for index in range(self.layers):
            sizes = [one.shape[-1] for one in inputs]
            kernel, bias = Affine(sum(sizes), self.width, name=f"color_{index}")()
            kernels = tuple(jnp.split(kernel, sizes[:1])) if len(sizes) > 1 else (kernel,)
            inputs = (relu_layer(inputs, kernels, bias),)
        kernel, bias = Affine(self.width, 3, name="rgb")()
        return product(inputs[0], kernel, jnp.float32) + bias


class DistanceHead(nn.Module):
    """The signed distance: a linear function of the feature, at the start that of a sphere.

    Attributes:
      radius: of the sphere, in the units of the layers.
    """

    radius: float

    @nn.compact
    def __call__(self, feature: Array) -> Array:
        """[..., S] distances of features [..., S, F]."""
        size = feature.shape[-1]

        def init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
            return (math.pi / size) ** 0.5 + 1e-4 * jax.random.normal(key, shape, dtype)

        kernel = self.param("kernel", init, (size,))
        bias = self.param("bias", nn.initializers.constant(-self.radius), ())
        return jnp.matmul(feature.astype(jnp.float32), kernel, precision=HIGHEST) + bias


@dataclass(frozen=True)
class SdfSpec:
    """NeuS's end: signed distance, normal and colour.

    Attributes:
      dir_freqs: see `RadianceSpec`.
      view_dependent: see `RadianceSpec`.
      surface: settings of the distance.
    """

    dir_freqs: int = 4
    view_dependent: bool = False
    surface: SurfaceSpec = SurfaceSpec()

    def build(self, width: int, position_scale: float, dtype: Any) -> Decoder:
        """The functions of the end.

        Args:
          width: features of the trunk.
          position_scale: the trunk's unit of length is the cube's side divided by this number.
          dtype: of the colour's matrix products; the distance is computed in float32.
        """
        spec = self.surface
        shape = DistanceHead(spec.radius * position_scale)
        color = ColorHead(width, spec.color_layers, dtype)
        extra = 3 * (1 + 2 * spec.color_freqs) + 3 * spec.color_normals
        extra += 3 * (1 + 2 * self.dir_freqs) * self.view_dependent

        def init(key: Array) -> Params:
            keys, feature = jax.random.split(key), jnp.zeros((1, width))
            start = math.log(spec.sharpness) / spec.sharpness_rate
            return {
                "distance": shape.init(keys[0], feature)["params"],
                "color": color.init(keys[1], feature, jnp.zeros((1, extra)))["params"],
                "sharpness": jnp.asarray(start, jnp.float32),
            }

        def distance_of(params: Params, features: Features) -> Array:
            return shape.apply({"params": params["distance"]}, features.shape) / position_scale

        def sharpness_of(params: Params) -> Array:
            return jnp.exp(spec.sharpness_rate * params["sharpness"])

        def decode(params: Params, trunk: Trunk, samples: Samples, context: Context) -> FieldOut:
            distance, gradient, features = differentiated(
                lambda one: distance_of(params, one), trunk, samples
            )
            sharpness = sharpness_of(params)
            if samples.viewdirs is None:
                depth = head_on_density(distance, sharpness) * samples.lengths
            else:
                cosine = jnp.sum(samples.viewdirs[..., None, :] * gradient, -1)
                slope = facing(cosine, context.cos_anneal)
                depth = section_depth(distance, slope, samples.lengths, sharpness)
            normal = unit(gradient)
            others = self._color_inputs(position_scale * samples.means, normal, samples.viewdirs)
            logits = color.apply({"params": params["color"]}, features.color, others)
            extras = {NORMAL: normal, DISTANCE: distance[..., None]}
            return FieldOut(optical_depth=depth, rgb=jax.nn.sigmoid(logits), extras=extras)

        def distance_at(params: Params, trunk: Trunk, points: Array) -> Array:
            return distance_of(params, trunk(at_points(points)))[..., 0]

        def density(params: Params, trunk: Trunk, points: Array) -> Array:
            return head_on_density(distance_at(params, trunk, points), sharpness_of(params))

        def surface(params: Params, trunk: Trunk, points: Array) -> Array:
            return -distance_at(params, trunk, points)

        # A GPU's default precision of float32 products is TF32.
        precision = HIGHEST if spec.products == "float32" else jax.lax.Precision.DEFAULT
        style = LayerStyle(jnp.float32, spec.beta, precision)
        functions = init, decode, density, surface
        return Decoder(style, *functions, level=0.0, differentiates=True)

    def _color_inputs(self, positions: Array, normals: Array, viewdirs: Array | None) -> Array:
        """What colour reads beside the feature: [..., S, C].

        Args:
          positions: [..., S, 3] in the units of the layers.
          normals: [..., S, 3].
          viewdirs: [..., 3], or None for the zero vector.
        """
        inputs = [posenc(positions, self.surface.color_freqs)]
        if self.surface.color_normals:
            inputs.append(normals)
        if self.view_dependent:
            directions = jnp.zeros(3) if viewdirs is None else viewdirs[..., None, :]
            encoded = posenc(directions, self.dir_freqs)
            inputs.append(jnp.broadcast_to(encoded, (*normals.shape[:-1], encoded.shape[-1])))
        return jnp.concatenate(inputs, -1)


def differentiated(
    read: Callable[[Features], Array], trunk: Trunk, samples: Samples
) -> tuple[Array, Array, Features]:
    """A value of features, its gradient by position, and the features.

    Args:
      read: features -> [..., S].
      trunk: samples to features; a sample's features depend on its own position alone.
      samples: [..., S].

    Returns:
      [..., S], [..., S, 3] and the features.
    """

    def total(means: Array) -> tuple[Array, tuple[Array, Features]]:
        features = trunk(samples.replace(means=means))
        value = read(features)
        return jnp.sum(value), (value, features)

    gradient, (value, features) = jax.grad(total, has_aux=True)(samples.means)
    return value, gradient, features
