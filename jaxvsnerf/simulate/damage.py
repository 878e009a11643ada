"""Simulated damage of one view: warps the picture, then changes its colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates
from scipy.special import expit, ndtri

from jaxvsnerf.simulate.noise import pixel_noise, sample_lattice
from jaxvsnerf.simulate.severity import Severity

# Factor that steepens moved outlines: interpolation makes them fade over more pixels than a
# generator's outlines.
RIM = 2.0
# Contents do not slide at the silhouette and slide fully this far inside, as a share of the
# picture's height.
EDGE = 0.02
# Softness of patch edges (in standard deviations of the patch field), opacity of patches, and
# distance from which their colour is taken (in sides of the cube).
PATCH_EDGE, PATCH_OPACITY, DONOR_FAR = 0.15, 0.85, 0.13
# Share of a patch's chroma that is kept; its brightness is kept in full.
PATCH_CHROMA = 0.6
# Shares of the picture's height: correlation length of the flow that moves fine detail, size of
# the grain, and window in which the local contrast is measured.
DETAIL_SIGMA, GRAIN_SIGMA, CONTRAST_SIGMA = 0.025, 0.0015, 0.012
# Share of the grain that differs between channels; most of it is brightness.
CHROMA = 0.5


@dataclass(frozen=True)
class ViewFields:
    """Random fields of one view, and the 3D points of its pixels.

    A lattice is [C, cells, cells, cells], see `sample_lattice`.

    Attributes:
      plane: [height, width, 3] points of the pixels on the plane that faces the camera.
      surface: [height, width, 3] points of the pixels on the object.
      intrinsics: [3, 3] in pixels.
      w2c: [3, 4] world-to-camera, OpenCV axes.
      rise: growth of the damage with the angle, 0 at the input view, 1 opposite to it.
      strength: factor of the damage that does not vanish at the input view, up to 1.
      line_of_sight: [3] unit optical axis of the input view.
      depth: lattice of 1 channel, displacement along `line_of_sight`.
      shape: lattice of 3 channels, displacement of the shape.
      slide: lattice of 3 channels, displacement of contents within the silhouette.
      light: lattice of 1 channel, log of brightness.
      patches: octaves of the patch field, lattices of 1 channel.
      donors: lattice of 3 channels, displacement to the place that a patch is copied from.
      gain: [3] log of the gain of each channel.
      bias: [3] offset of each channel.
      turn: [3] rotation vector.
      detail: random generator of the flow that moves fine detail.
      grain: random generator of the grain.
    """

    plane: np.ndarray
    surface: np.ndarray
    intrinsics: np.ndarray
    w2c: np.ndarray
    rise: float
    strength: float
    line_of_sight: np.ndarray
    depth: np.ndarray
    shape: np.ndarray
    slide: np.ndarray
    light: np.ndarray
    patches: tuple[np.ndarray, ...]
    donors: np.ndarray
    gain: np.ndarray
    bias: np.ndarray
    turn: np.ndarray
    detail: np.random.Generator
    grain: np.random.Generator


def damage_view(
    image: np.ndarray, mask: np.ndarray, background: np.ndarray, kind: Severity, fields: ViewFields
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Damages one view.

    Args:
      image: [height, width, 3] in [0, 1] on the background.
      mask: [height, width] opacity in [0, 1].
      background: [3] in [0, 1].
      kind: strength of each kind of damage.
      fields: random fields of the view.

    Returns:
      The damaged image and mask, and the flow [height, width, 2], see `Simulated.flow`.
    """
    flow = bending(mask, kind, fields)
    color = _warped(_filled(image, mask, background), flow)
    steep = 1.0 + (RIM - 1.0) * np.linalg.norm(flow, axis=-1, keepdims=True).clip(0.0, 1.0)
    mask = np.clip(0.5 + steep * (_warped(mask[..., None], flow) - 0.5), 0.0, 1.0)
    color = _recolored(color, mask[..., 0], kind, fields)
    return color * mask + background * (1.0 - mask), mask[..., 0], flow


def bending(mask: np.ndarray, kind: Severity, fields: ViewFields) -> np.ndarray:
    """Flow that bends the shape and moves contents.

    Args:
      mask: [height, width] opacity in [0, 1], before the damage.
      kind: strength of each kind of damage.
      fields: random fields of the view.

    Returns:
      [height, width, 2] in pixels, see `Simulated.flow`.
    """
    # Sampled on a plane: continuous across silhouettes and folds of the surface.
    plane, strength = fields.plane, fields.strength
    moved = kind.depth * sample_lattice(fields.depth, plane) * fields.line_of_sight
    moved += strength * kind.shape * sample_lattice(fields.shape, plane)
    inner_px = distance_transform_edt(mask > 0.5)
    inside = ((inner_px - 1.0) / (EDGE * len(mask))).clip(0.0, 1.0)[..., None]
    within = inner_px > 0
    slide = inside[within] * sample_lattice(fields.slide, plane[within])
    moved[within] += strength * kind.slide * slide
    turned = strength * np.deg2rad(kind.pose_deg) * np.cross(fields.turn, fields.surface)
    flow = _shift(plane, moved, fields) + _shift(fields.surface, turned, fields)
    fine = pixel_noise(fields.detail, DETAIL_SIGMA * len(mask), *mask.shape, 2)
    return flow + kind.detail * len(mask) * inside * fine


def _shift(points: np.ndarray, by: np.ndarray, fields: ViewFields) -> np.ndarray:
    """[..., 2] shift in pixels of the projections of `points` [..., 3] moved `by` [..., 3]."""

    def project(points: np.ndarray) -> np.ndarray:
        w2c = fields.w2c
        camera = points @ w2c[:, :3].T + w2c[:, 3]
        perspective = fields.intrinsics[2, 2]
        camera[..., 2] = perspective * camera[..., 2] + (1.0 - perspective)
        return (camera @ fields.intrinsics.T)[..., :2] / camera[..., 2:]

    points = points.astype(np.float64)  # float32 loses the digits of small shifts
    return project(points + by) - project(points)


def _recolored(
    color: np.ndarray, mask: np.ndarray, kind: Severity, fields: ViewFields
) -> np.ndarray:
    """[height, width, 3] colour after patches, blur, grain, light, gain and bias."""
    color, strength = _patched(color, mask, kind, fields), fields.strength
    if sigma := kind.blur * len(mask):
        color = gaussian_filter(color, (sigma, sigma, 0.0))
    grain = pixel_noise(fields.grain, GRAIN_SIGMA * len(mask), *mask.shape, 4)
    grain = np.sqrt(1.0 - CHROMA**2) * grain[..., :1] + CHROMA * grain[..., 1:]
    color = color + kind.grain * _deviation(color, CONTRAST_SIGMA * len(mask)) * grain
    light = sample_lattice(fields.light, fields.surface)
    color = np.exp(strength * (kind.gain * fields.gain + kind.light * light)) * color
    return np.clip(color + strength * kind.bias * fields.bias, 0.0, 1.0)


def _patched(color: np.ndarray, mask: np.ndarray, kind: Severity, fields: ViewFields) -> np.ndarray:
    """Pastes patches of colour taken from other parts of the object."""
    share, within = min(fields.rise**2 * kind.texture, 1.0), mask > 0
    if share == 0 or not within.any():
        return color
    points = fields.surface[within]
    field = sum(sample_lattice(octave, points) for octave in fields.patches)
    field /= np.sqrt(len(fields.patches))
    cover = PATCH_OPACITY * expit((field - ndtri(1.0 - share)) / PATCH_EDGE)
    flow = np.zeros((*mask.shape, 2))
    flow[within] = _shift(points, DONOR_FAR * sample_lattice(fields.donors, points), fields)
    patched, donor = color.copy(), _warped(color, flow)
    change = (donor - color)[within]
    light = change.mean(-1, keepdims=True)
    patched[within] += cover * (light + PATCH_CHROMA * (change - light))
    return patched


def _filled(image: np.ndarray, mask: np.ndarray, background: np.ndarray) -> np.ndarray:
    """[height, width, 3] colour without background; outside, that of the nearest object pixel."""
    opacity = mask[..., None]
    straight = (image - background * (1.0 - opacity)) / np.maximum(opacity, 1e-3)
    solid = mask >= min(0.9, float(mask.max()))
    nearest = distance_transform_edt(~solid, return_distances=False, return_indices=True)
    return np.clip(straight, 0.0, 1.0)[tuple(nearest)]


def _deviation(color: np.ndarray, sigma_px: float) -> np.ndarray:
    """[height, width, 3] standard deviation of each channel around each pixel."""
    around = (sigma_px, sigma_px, 0.0)
    mean = gaussian_filter(color, around)
    return np.sqrt(np.maximum(gaussian_filter(color**2, around) - mean**2, 0.0))


def _warped(layers: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Samples `layers` [height, width, C] at each pixel plus `flow`, by cubic interpolation."""
    height, width = flow.shape[:2]
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    places = np.stack([y + flow[..., 1], x + flow[..., 0]])
    channels = np.moveaxis(layers, -1, 0)
    moved = [map_coordinates(channel, places, order=3, mode="nearest") for channel in channels]
    return np.stack(moved, -1)
