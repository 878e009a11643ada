"""Losses of rendered rays against the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp

from jaxvsnerf.system.settings import Auto, check_spec, setting
from jaxvsnerf.training.terms import SPARSE, Outcome, TermsSpec, weighed_terms
from jaxvsnerf.types import Array, Rendering

KINDS = ("mse", "charbonnier", "l1")


@dataclass(frozen=True)
class LossSpec:
    """What is minimised.

    Attributes:
      terms: weights of the terms beside colour.
    """

    kind: str = setting(
        "charbonnier",
        "Error of a colour: `mse` (paper: the squared error), `charbonnier`, "
        "sqrt(|error|^2 + eps), which suits pictures that disagree, or `l1` (NeuS).",
        choices=KINDS,
        auto=Auto("auto", f"`mse` with fewer than {SPARSE} generated views, else `charbonnier`"),
    )
    eps: float = setting(1e-3, "Charbonnier's eps, in squared colour units.", above=0, at_most=100)
    terms: TermsSpec = TermsSpec()

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
    if spec.kind == "l1":
        return jnp.sum(jnp.abs(error), -1)
    squared = jnp.sum(error**2, -1)
    return squared if spec.kind == "mse" else jnp.sqrt(squared + spec.eps)


def total_loss(outcomes: Sequence[Outcome], rgb: Array, spec: LossSpec) -> tuple[Array, Array]:
    """Training loss, summed over sampling levels, and mean squared colour error.

    Args:
      outcomes: one Outcome per sampling level.
      rgb: [..., 3] colours of the pictures.
      spec: the loss.

    Returns:
      loss [], and the last level's mean squared error per channel [].

    Source: paper, loss over rays; NeRF (arXiv:2003.08934) equation 6 sums the levels.
    """
    loss = jnp.zeros(())
    for seen in outcomes:
        loss += jnp.mean(seen.trust * spec.color(seen.rendering, rgb))
        loss += weighed_terms(seen, spec.terms)
    return loss, jnp.mean((outcomes[-1].rendering.rgb - rgb) ** 2)
