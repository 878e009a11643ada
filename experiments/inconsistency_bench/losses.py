"""Losses of the compared methods."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from jaxvsnerf.training.losses import LossSpec, ray_errors
from jaxvsnerf.types import Array, Rendering


@dataclass(frozen=True)
class TrimmedLoss(LossSpec):
    """Leaves out the rays of a step with the largest errors.

    Attributes:
      share: share of the rays to leave out, 0 to 1.

    Source: RobustNeRF (arXiv:2302.00833) section 3.1, without its patches.
    """

    share: float = 0.1

    def color(self, rendering: Rendering, rgb: Array) -> Array:
        """Errors [...] of the kept rays, scaled up to compensate the others."""
        errors = ray_errors(rendering.rgb - rgb, self)
        largest = jax.lax.stop_gradient(jnp.quantile(errors, 1.0 - self.share))
        kept = (errors <= largest).astype(errors.dtype)
        return kept * errors / jnp.maximum(jnp.mean(kept), 1.0 / kept.size)


@dataclass(frozen=True)
class UncertainLoss(LossSpec):
    """Negative log-likelihood of the colour under a Gaussian with the rendered deviation.

    At the smallest deviation the loss equals the squared error.

    Attributes:
      floor: the smallest deviation, in colour units.

    Source: NeRF in the Wild (arXiv:2008.02268) equation 13, times 2 floor^2.
    """

    floor: float = 0.1

    def color(self, rendering: Rendering, rgb: Array) -> Array:
        """Loss per ray [...]; reads the rendered extra `uncertainty`."""
        deviation = 1.0 + rendering.extras["uncertainty"][..., 0] / self.floor
        squared = jnp.sum((rendering.rgb - rgb) ** 2, -1)
        return squared / deviation**2 + 2.0 * self.floor**2 * jnp.log(deviation)


@dataclass(frozen=True)
class DeformedLoss(LossSpec):
    """Adds a penalty on the bend of a view.

    Attributes:
      bending: weight of the rendered squared offset (in sides of the cube).
    """

    bending: float = 1.0

    def color(self, rendering: Rendering, rgb: Array) -> Array:
        """Loss per ray [...]: colour term and offsets; reads the rendered extra `bending`."""
        return super().color(rendering, rgb) + self.bending * rendering.extras["bending"][..., 0]


@dataclass(frozen=True)
class DistortedLoss(LossSpec):
    """Adds a penalty on weights that are spread along a ray.

    Attributes:
      distortion: weight of the penalty.

    Source: mip-NeRF 360 (arXiv:2111.12077) equation 15, in distances.
    """

    distortion: float = 0.01

    def color(self, rendering: Rendering, rgb: Array) -> Array:
        """Loss per ray [...]: colour term and distortion."""
        weights, edges, middles = rendering.weights, rendering.t_edges, rendering.middles
        apart = jnp.abs(middles[..., :, None] - middles[..., None, :])
        between = jnp.sum(weights[..., :, None] * weights[..., None, :] * apart, (-2, -1))
        within = jnp.sum(weights**2 * jnp.diff(edges), -1) / 3.0
        return super().color(rendering, rgb) + self.distortion * (between + within)
