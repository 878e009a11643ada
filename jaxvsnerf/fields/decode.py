"""DECODE: what the two ends of a field have in common, radiance and signed distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxvsnerf.fields.shared import LayerStyle
from jaxvsnerf.types import Array, Context, FieldOut, Params, Samples


class Features(NamedTuple):
    """What the layers before a decoder say of samples.

    Attributes:
      color: [..., S, F] the combined feature.
      shape: [..., S, F] the mean of the views' features, the same as `color` where nothing is
        combined by attention.
    """

    color: Array
    shape: Array


# Samples to features: a function, so that a decoder can differentiate by position.
Trunk = Callable[[Samples], Features]


class Decoder(NamedTuple):
    """An end of a field: features to what is composited.

    Attributes:
      style: what the end asks of the layers before it.
      init: key -> parameters, the group `heads`.
      decode: (params, trunk, samples, context) -> FieldOut.
      density: (params, trunk, points [..., 3]) -> [...] density per cube side without a direction,
        for the density grid and queries of the volume.
      surface: (params, trunk, points [..., 3]) -> [...] values of which one level is the surface,
        larger inside.
      level: the value of `surface` at the surface; None if the values must tell.
      differentiates: whether `decode` differentiates the features by position, which keeps the
        activations of all layers.
    """

    style: LayerStyle
    init: Callable[[Array], Params]
    decode: Callable[[Params, Trunk, Samples, Context], FieldOut]
    density: Callable[[Params, Trunk, Array], Array]
    surface: Callable[[Params, Trunk, Array], Array]
    level: float | None
    differentiates: bool


def at_points(points: Array) -> Samples:
    """Points [..., 3] as samples [..., 1] of length 1 without directions."""
    ones = jnp.ones((*points.shape[:-1], 1))
    return Samples(
        means=points[..., None, :],
        covs=None,
        t_edges=jnp.concatenate([0 * ones, ones], -1),
        lengths=ones,
        viewdirs=None,
    )
