"""Smoothness: what the pictures leave open is to be filled without bumps."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxvsnerf.rendering.sparse import FieldFn
from jaxvsnerf.types import FieldOut, Samples

# Choice: in sides of the object's cube; twice as far scores less.
DISTANCE = 0.02
ROUGHNESS = "roughness"


def with_roughness(field: FieldFn) -> FieldFn:
    """The field with how much its opacity changes over a short distance, as an extra.

    Returns:
      samples -> FieldOut whose extra `roughness` [..., S, 1] is the squared difference between
      the opacity of an interval and that of the same interval moved by `DISTANCE`. Compositing
      weighs it by what is seen, so that it asks for smooth surfaces and not for empty space.
    """

    def ask(samples: Samples) -> FieldOut:
        out = field(samples)
        offsets = DISTANCE * _directions(samples.means.shape[-2])
        aside = field(samples.replace(means=samples.means + offsets))
        change = jnp.expm1(-out.optical_depth) - jnp.expm1(-aside.optical_depth)
        return out.replace(extras={**out.extras, ROUGHNESS: (change**2)[..., None]})

    return ask


def _directions(num: int) -> np.ndarray:
    """[num, 3] float32 unit vectors in all directions, neighbours far apart.

    Choice: fixed; samples lie elsewhere at every step.
    """
    # Powers of the plastic number, the golden ratio of two dimensions.
    steps = (np.arange(num) + 0.5)[:, None] * (0.5698402909980532, 0.7548776662466927) % 1.0
    z, angle = 1.0 - 2.0 * steps[:, 0], 2.0 * np.pi * steps[:, 1]
    radius = np.sqrt(1.0 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], -1).astype(np.float32)
