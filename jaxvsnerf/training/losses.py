"""Losses over rays."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from jaxvsnerf.errors import InputError
from jaxvsnerf.training.smoothness import ROUGHNESS
from jaxvsnerf.types import Array, Rendering

KINDS = ("mse", "charbonnier")


@dataclass(frozen=True)
class LossSpec:
    """What is minimised.

    Attributes:
      kind: `mse` (paper: squared colour error) or `charbonnier`, sqrt(|error|^2 + eps),
        which pictures that disagree call for.
      eps: of Charbonnier, in squared colour units; above 0.
      mask_weight: weight of (opacity - mask)^2; 0 leaves it out. At least 0.
      smooth: weight of the roughness of what is seen, see `with_roughness`; 0 leaves it out.
        At least 0.
    """

    kind: str = "charbonnier"
    eps: float = 1e-3
    mask_weight: float = 1.0
    smooth: float = 0.0

    def __post_init__(self):
        if self.kind not in KINDS:
            raise InputError(
                f"loss.kind: expected one of {', '.join(KINDS)} or auto, got {self.kind!r}"
            )
        if self.eps <= 0 or self.mask_weight < 0 or self.smooth < 0:
            raise InputError(
                "loss: expected eps > 0, mask_weight >= 0 and smooth >= 0, "
                f"got {self.eps}, {self.mask_weight} and {self.smooth}"
            )

    def color(self, rendering: Rendering, rgb: Array) -> Array:
        """[...] what each ray that should show rgb [..., 3] adds to the colour term."""
        return ray_errors(rendering.rgb - rgb, self)


def ray_errors(error: Array, spec: LossSpec) -> Array:
    """The error of each ray as the loss sees it. error [..., 3] -> [...]."""
    squared = jnp.sum(error**2, -1)
    return squared if spec.kind == "mse" else jnp.sqrt(squared + spec.eps)


def total_loss(
    renderings: tuple[Rendering, ...],
    rgb: Array,
    mask: Array | None,
    trust: Array,
    spec: LossSpec,
) -> tuple[Array, Array]:
    """Loss of all levels, and the last one's mean squared error per channel.

    Args:
      renderings: one a level.
      rgb: [..., 3] what the pictures show.
      mask: [...] opacity, or None where unknown.
      trust: weights of the rays, broadcast over [...].
      spec: the loss.

    Returns:
      loss [], mse [].

    Source: paper, loss over rays; NeRF (arXiv:2003.08934) equation 6 sums the levels.
    """
    loss = jnp.zeros(())
    for rendering in renderings:
        loss += jnp.mean(trust * spec.color(rendering, rgb))
        if mask is not None and spec.mask_weight:
            loss += spec.mask_weight * jnp.mean(trust * (rendering.acc - mask) ** 2)
        if ROUGHNESS in rendering.extras:
            loss += spec.smooth * jnp.mean(trust * rendering.extras[ROUGHNESS][..., 0])
    return loss, jnp.mean((renderings[-1].rgb - rgb) ** 2)
