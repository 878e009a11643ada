"""Smoothness prior: penalises bumps where the pictures do not determine the surface."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxvsnerf.rendering.sparse import FieldFn
from jaxvsnerf.types import FieldOut, Samples

# Choice: distance of compared points, in sides of the object's cube; twice the distance scored
# lower.
DISTANCE = 0.02
ROUGHNESS = "roughness"


def with_roughness(field: FieldFn) -> FieldFn:
    """Adds to a field's output the change of opacity over a short distance.

    Returns:
      samples -> FieldOut whose extra `roughness` [..., S, 1] is the squared difference between
      the opacity of an interval and the opacity of the same interval moved by `DISTANCE`.
      Compositing weighs the roughness by visibility: the loss then favours smooth surfaces
      without favouring empty space.
    """

    def ask(samples: Samples) -> FieldOut:
        out = field(samples)
        offsets = DISTANCE * spread_directions(samples.means.shape[-2])
        aside = field(samples.replace(means=samples.means + offsets))
        change = jnp.expm1(-out.optical_depth) - jnp.expm1(-aside.optical_depth)
        return out.replace(extras={**out.extras, ROUGHNESS: (change**2)[..., None]})

    return ask


def spread_directions(num: int) -> np.ndarray:
    """Unit vectors [num, 3] float32 spread over the sphere; consecutive ones are far apart.

    Choice: fixed, since samples are drawn anew at every step.
    """
    # The R2 low-discrepancy sequence: inverse powers of the plastic number.
    steps = (np.arange(num) + 0.5)[:, None] * (0.5698402909980532, 0.7548776662466927) % 1.0
    z, angle = 1.0 - 2.0 * steps[:, 0], 2.0 * np.pi * steps[:, 1]
    radius = np.sqrt(1.0 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], -1).astype(np.float32)
