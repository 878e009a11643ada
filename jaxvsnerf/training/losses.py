"""Losses of rendered rays against the pictures."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from jaxvsnerf.system.settings import Auto, check_spec, setting
from jaxvsnerf.training.smoothness import ROUGHNESS
from jaxvsnerf.types import Array, Rendering

KINDS = ("mse", "charbonnier")
# Choice: with fewer generated views hardly a point of the surface is seen by three views, and
# nothing tells which of two views is wrong. Smoothness then decides instead of a robust loss.
SPARSE = 8
SMOOTH = 3.0


@dataclass(frozen=True)
class LossSpec:
    """What is minimised."""

    kind: str = setting(
        "charbonnier",
        "Error of a colour: `mse` (paper: the squared error) or `charbonnier`, "
        "sqrt(|error|^2 + eps), which suits pictures that disagree.",
        choices=KINDS,
        auto=Auto("auto", f"`mse` with fewer than {SPARSE} generated views, else `charbonnier`"),
    )
    eps: float = setting(1e-3, "Charbonnier's eps, in squared colour units.", above=0, at_most=100)
    mask_weight: float = setting(
        1.0, "Weight of (opacity - mask)^2; 0 leaves the term out.", at_least=0, at_most=1e6
    )
    smooth: float = setting(
        0.0,
        "Weight of the roughness of the visible surface; 0 leaves the term out.",
        at_least=0,
        at_most=1e6,
        auto=Auto(-1.0, f"{SMOOTH:g} with fewer than {SPARSE} generated views, else 0"),
    )

    def __post_init__(self):
        check_spec(self, "loss")

    def color(self, rendering: Rendering, rgb: Array) -> Array:
        """Colour term [...] of each ray, given the picture's rgb [..., 3]."""
        return ray_errors(rendering.rgb - rgb, self)


@dataclass(frozen=True)
class TrustSpec:
    """How much the views count that are far from the picture the generator was given."""

    trust: float = setting(
        1.5,
        "Exponent t of a view's weight (0.25 + sin(angle / 2))^-t, where `angle` lies between "
        "the view and the picture that the generator was given, if that is known; 0 for pictures "
        "that agree.",
        at_least=0,
        at_most=100,
    )

    def __post_init__(self):
        check_spec(self, "loss")


def ray_errors(error: Array, spec: LossSpec) -> Array:
    """Loss of colour errors, per ray: error [..., 3] -> [...]."""
    squared = jnp.sum(error**2, -1)
    return squared if spec.kind == "mse" else jnp.sqrt(squared + spec.eps)


def total_loss(
    renderings: tuple[Rendering, ...],
    rgb: Array,
    mask: Array | None,
    trust: Array,
    spec: LossSpec,
) -> tuple[Array, Array]:
    """Training loss, summed over sampling levels, and mean squared colour error.

    Args:
      renderings: one Rendering per sampling level.
      rgb: [..., 3] colours of the pictures.
      mask: [...] opacity, or None if unknown.
      trust: weights of the rays, broadcast to [...].
      spec: the loss.

    Returns:
      loss [], and the last level's mean squared error per channel [].

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
