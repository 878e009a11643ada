"""Simulated view inconsistency, first version: what a generator's views disagree about.

Two of the ways in which generated views differ from the truth: each drifts in colour,
and its content is warped smoothly. Both grow with the angle from the input view.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

from jaxvsnerf.geometry.cameras import camera_centers
from jaxvsnerf.types import Array, ViewSet


@dataclass(frozen=True)
class Severity:
    """Strength at the view opposite to the input view.

    Attributes:
      gain: standard deviation of the log of each channel's gain.
      bias: standard deviation of each channel's offset, pictures in [0, 1].
      warp: root mean square displacement along each axis, as a share of the height.
    """

    gain: float
    bias: float
    warp: float


# Choice: "medium" loses what the real SyncDreamer strip `chicken` loses against its truth
# (25.4 dB over 16 views), on `chicken` itself and on the toy at 64 px.
SEVERITIES = {
    "clean": Severity(0.0, 0.0, 0.0),
    "mild": Severity(0.035, 0.014, 0.0055),
    "medium": Severity(0.058, 0.023, 0.0093),
    "severe": Severity(0.120, 0.048, 0.0190),
}
# Control points of the displacement along an axis: about one swing across the object.
CONTROL_POINTS = 6
# Real strips (`chicken`) lose as much at 60 degrees of azimuth as at 180: the strength
# rises quickly and levels off.
RISE_DEG = 45.0
# A generator redraws the input view too, only better: real strips score about 30 dB there.
FLOOR = 0.4


def damage_views(views: ViewSet, severity: str, seed: int) -> ViewSet:
    """Damages every view, the input view least.

    Args:
      views: V views with masks; view 0 is the input view.
      severity: a name in SEVERITIES.
      seed: same seed, same damage.

    Returns:
      The views with damaged pictures and masks, in numpy float32.

    Raises:
      ValueError: unknown severity, or views without masks.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be one of {', '.join(SEVERITIES)}, got {severity!r}")
    if views.masks is None:
        raise ValueError("damage_views needs masks, to keep the background clean; got masks=None")
    if severity == "clean":
        return views
    level = SEVERITIES[severity]
    strength = damage_strength(camera_centers(views.cameras))
    keys = jax.random.split(jax.random.key(seed), len(strength))
    numbers = strength[:, None] * np.array([level.gain, level.bias, level.warp], np.float32)
    images, masks = _damage_all(keys, views.images, views.masks, numbers, views.background)
    return views.replace(images=np.array(images), masks=np.array(masks))


def damage_view(
    key: Array, image: Array, mask: Array, strength: Array, background: Array
) -> tuple[Array, Array]:
    """Warps one view and shifts its colours; the background keeps its colour.

    Args:
      key: PRNG key.
      image: [height, width, 3] in [0, 1], composited on the background.
      mask: [height, width] opacity in [0, 1].
      strength: [3] gain, bias and warp as in `Severity`.
      background: [3].

    Returns:
      image, mask: damaged, shapes kept.
    """
    gain_key, bias_key, warp_key = jax.random.split(key, 3)
    gain = jnp.exp(strength[0] * jax.random.normal(gain_key, (3,)))
    bias = strength[1] * jax.random.normal(bias_key, (3,))
    image, mask = _warp(warp_key, image, mask, strength[2])
    opacity = mask[..., None]
    behind = background * (1.0 - opacity)
    # On premultiplied colour, so that half-covered pixels drift by half.
    drifted = jnp.clip(gain * (image - behind) + bias * opacity, 0.0, opacity)
    return drifted + behind, mask


_damage_all = jax.jit(jax.vmap(damage_view, in_axes=(0, 0, 0, 0, None)))


def _warp(key: Array, image: Array, mask: Array, amplitude: Array) -> tuple[Array, Array]:
    """Samples picture and mask bilinearly at smoothly displaced places."""
    height, width = mask.shape
    control = jax.random.normal(key, (2, CONTROL_POINTS, CONTROL_POINTS))
    field = jax.image.resize(control, (2, height, width), "cubic")
    field = field / jnp.sqrt(jnp.mean(field**2)) * amplitude * height
    rows, columns = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    places = [rows + field[0], columns + field[1]]
    layers = jnp.concatenate([image, mask[..., None]], -1)
    warped = jnp.stack(
        [map_coordinates(layers[..., c], places, order=1, mode="nearest") for c in range(4)], -1
    )
    return warped[..., :3], warped[..., 3]


def damage_strength(centers: np.ndarray) -> np.ndarray:
    """Strength of the damage by the angle from view 0.

    Args:
      centers: [V, 3] camera centres, object at the origin.

    Returns:
      [V] float32: FLOOR at view 0, rising with the angle, 1 opposite to it (180 degrees).
    """
    unit = centers / np.linalg.norm(centers, axis=-1, keepdims=True)
    angle_deg = np.rad2deg(np.arccos(np.clip(unit @ unit[0], -1.0, 1.0)))
    rise = (1.0 - np.exp(-angle_deg / RISE_DEG)) / (1.0 - np.exp(-180.0 / RISE_DEG))
    return (FLOOR + (1.0 - FLOOR) * rise).astype(np.float32)
