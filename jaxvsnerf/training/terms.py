"""Terms of the loss beside colour, by name; each has a weight in the section `loss.terms`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import flax.struct
import jax.numpy as jnp

from jaxvsnerf.system.settings import Auto, check_spec, setting
from jaxvsnerf.training.smoothness import ROUGHNESS
from jaxvsnerf.types import Array, Rendering

# Choice: with fewer generated views hardly a point of the surface is seen by three views, and
# nothing tells which of two views is wrong. Smoothness then decides instead of a robust loss.
SPARSE = 8
SMOOTH = 3.0
# An opacity this close to 0 or 1 has no more gradient in `mask_entropy`, as in NeuS's code.
CLIP = 1e-3


@dataclass(frozen=True)
class TermsSpec:
    """Weights of the terms; 0 leaves a term out."""

    mask: float = setting(
        1.0,
        "Weight of (opacity - mask)^2.",
        at_least=0,
        at_most=1e6,
        was="loss.mask_weight",
    )
    mask_entropy: float = setting(
        0.0,
        "Weight of the binary cross entropy between opacity and mask (NeuS).",
        at_least=0,
        at_most=1e6,
    )
    roughness: float = setting(
        0.0,
        "Weight of the roughness of the visible surface: how much an interval's opacity changes "
        "over a short distance.",
        at_least=0,
        at_most=1e6,
        auto=Auto(-1.0, f"{SMOOTH:g} with fewer than {SPARSE} generated views, else 0"),
        was="loss.smooth",
    )
    eikonal: float = setting(
        0.0,
        "Weight of (|gradient of the distance| - 1)^2, for `field.decoder` sdf, at points that "
        "are drawn evenly from where the object can be.",
        at_least=0,
        at_most=1e6,
    )
    bend: float = setting(
        0.0,
        "Weight of the squared change of the surface's normal over a short distance, for "
        "`field.decoder` sdf.",
        at_least=0,
        at_most=1e6,
    )

    def __post_init__(self):
        check_spec(self, "loss.terms")


@flax.struct.dataclass
class Outcome:
    """What a term may read of one sampling level of R rays.

    Attributes:
      rendering: the composited rays, with the outputs of their samples.
      mask: [...] opacity in the picture, or None if unknown.
      trust: weights of the rays, broadcast to [...].
      gradients: [..., 3] gradients of the field's `surface` at points that visibility does not
        choose, or None.
      normals: two [..., 3] unit normals near the visible surface, a short distance apart, or None.
    """

    rendering: Rendering
    mask: Array | None
    trust: Array
    gradients: Array | None = None
    normals: tuple[Array, Array] | None = None


def mask_term(seen: Outcome) -> Array | None:
    """Mean (opacity - mask)^2; None without masks."""
    if seen.mask is None:
        return None
    return jnp.mean(seen.trust * (seen.rendering.acc - seen.mask) ** 2)


def mask_entropy_term(seen: Outcome) -> Array | None:
    """Mean binary cross entropy of the opacity, clipped to [CLIP, 1 - CLIP]; None without masks."""
    if seen.mask is None:
        return None
    acc = jnp.clip(seen.rendering.acc, CLIP, 1.0 - CLIP)
    entropy = -(seen.mask * jnp.log(acc) + (1.0 - seen.mask) * jnp.log1p(-acc))
    return jnp.mean(seen.trust * entropy)


def roughness_term(seen: Outcome) -> Array | None:
    """Mean visible roughness, see `with_roughness`; None in a stage that adds no roughness."""
    roughness = seen.rendering.extras.get(ROUGHNESS)
    return None if roughness is None else jnp.mean(seen.trust * roughness[..., 0])


def eikonal_term(seen: Outcome) -> Array | None:
    """Mean (|gradient| - 1)^2 over the free points; None without points.

    Source: IGR (arXiv:2002.10099) equation 2.
    """
    if seen.gradients is None:
        return None
    lengths = jnp.sqrt(jnp.sum(seen.gradients**2, -1) + 1e-12)
    return jnp.mean((lengths - 1.0) ** 2)


def bend_term(seen: Outcome) -> Array | None:
    """Mean squared change of the normal beside the visible surface; None without normals."""
    if seen.normals is None:
        return None
    here, aside = seen.normals
    change = jnp.sum((here - aside) ** 2, -1)
    return jnp.mean(seen.trust * seen.rendering.acc * change)


# The names are the weights' in `TermsSpec`. A term that lacks what it reads is None and left out.
TERMS: dict[str, Callable[[Outcome], Array | None]] = {
    "mask": mask_term,
    "mask_entropy": mask_entropy_term,
    "roughness": roughness_term,
    "eikonal": eikonal_term,
    "bend": bend_term,
}


def weighed_terms(seen: Outcome, spec: TermsSpec) -> Array:
    """The weighted sum [] of all terms that have a weight and what they read."""
    total = jnp.zeros(())
    for name, term in TERMS.items():
        weight = getattr(spec, name)
        value = term(seen) if weight else None
        if value is not None:
            total += weight * value
    return total
