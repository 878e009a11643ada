"""Simulated view inconsistency: the errors by which generated views contradict each other.

Multi-view diffusion models redraw an object from every side, and each picture differs from
the truth in its own way: shapes are bent, most along the line of sight of the input photo,
contents slide over the surface, colours and light drift, fine detail moves and texture is
invented. Most errors grow with the angle from the photo; neighbouring views share part of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import camera_centers, optical_axes
from jaxvsnerf.geometry.hull import facing_plane, hull_points
from jaxvsnerf.simulate.damage import ViewFields, damage_view
from jaxvsnerf.simulate.noise import view_angles_deg, view_lattices, view_mixing
from jaxvsnerf.simulate.severity import SEVERITIES, Severity
from jaxvsnerf.types import ViewSet

# Angle at which the correlation of two views' fields falls to exp(-1/2) of `shared`.
SHARED_DEG = 40.0
# A generator redraws the input view too, only better: in a real strip (`chicken`) the input view
# scores 30 dB. The damage starts at FLOOR there and rises steeply at small angles.
FLOOR, RISE_DEG = 0.18, 85.0
# Lattice cells along the cube's side, for each random field.
BEND_CELLS, SLIDE_CELLS, LIGHT_CELLS, PATCH_CELLS, DONOR_CELLS = 5, 10, 12, (12, 24, 40), 8
# Visual hulls have creases where objects have none: hull points are blurred by this share of the
# picture's height.
SMOOTH_SIGMA = 0.02


@dataclass(frozen=True)
class Simulated:
    """Damaged views, and the damage of each pixel.

    Attributes:
      views: V views with damaged pictures and masks.
      flow: [V, height, width, 2] float32 in pixels: pixel (x, y) shows the undamaged picture at
        (x, y) + flow.
      error: [V, height, width] float32 root mean square over channels of the damaged minus the
        undamaged picture.
    """

    views: ViewSet
    flow: np.ndarray
    error: np.ndarray


def damage_views(views: ViewSet, severity: str, seed: int) -> ViewSet:
    """Damages views at a named severity, see `simulate`.

    Args:
      views: V views with masks; view 0 is the input view.
      severity: a key of `SEVERITIES`.
      seed: seed of the damage, at least 0.

    Raises:
      InputError: unknown severity, or views without masks.
    """
    if severity not in SEVERITIES:
        raise InputError(f"severity must be one of {', '.join(SEVERITIES)}, got {severity!r}")
    return simulate(views, SEVERITIES[severity], seed).views


def simulate(views: ViewSet, severity: Severity, seed: int) -> Simulated:
    """Damages every view, the input view least.

    Args:
      views: V views with masks; view 0 is the input view.
      severity: strength of each kind of damage.
      seed: seed of the damage, at least 0; the same seed gives the same damage.

    Returns:
      The damaged views, in numpy float32, with the axis of view 0 as `input_axis`, and the
      damage of each pixel.

    Raises:
      InputError: views without masks.
    """
    if views.masks is None:
        raise InputError("damage needs masks, to keep the background clean; got masks=None")
    views = views.replace(input_axis=np.asarray(optical_axes(views.cameras))[0])
    if severity == Severity(shared=severity.shared):
        return Simulated(
            views,
            np.zeros((*views.masks.shape, 2), np.float32),
            np.zeros(views.masks.shape, np.float32),
        )
    clean, masks = (np.asarray(leaf, np.float32) for leaf in (views.images, views.masks))
    damaged = [
        damage_view(image, mask, views.background, severity, fields)
        for image, mask, fields in zip(
            clean, masks, _draw_fields(views, severity.shared, seed), strict=True
        )
    ]
    images, masks, flow = (np.stack(part).astype(np.float32) for part in zip(*damaged, strict=True))
    error = np.sqrt(np.mean((images - clean) ** 2, -1))
    return Simulated(views.replace(images=images, masks=masks), flow, error)


def _draw_fields(views: ViewSet, shared: float, seed: int) -> list[ViewFields]:
    """Draws the random fields of each view."""
    cameras, count = views.cameras, len(views.images)
    centers = camera_centers(cameras)
    mixing, rise = view_mixing(centers, shared, SHARED_DEG), damage_rise(centers)

    def rng(kind: int, part: int = 0) -> np.random.Generator:
        """Random stream of one kind of damage: independent of how much the others draw."""
        return np.random.default_rng((seed, kind, part))

    def lattices(kind: int, cells: int, channels: int, part: int = 0) -> np.ndarray:
        return view_lattices(rng(kind, part), mixing, cells, channels)

    depth = view_lattices(rng(0), np.ones((1, 1)), BEND_CELLS, 1)[0]
    shape, slide = lattices(1, BEND_CELLS, 3), lattices(2, SLIDE_CELLS, 3)
    light, donors = lattices(3, LIGHT_CELLS, 1), lattices(4, DONOR_CELLS, 3)
    octaves = [lattices(5, cells, 1, part) for part, cells in enumerate(PATCH_CELLS)]
    colors = np.einsum("vu,ukc->kvc", mixing, rng(6).standard_normal((count, 2, 3)))
    turns = rng(7).standard_normal((count, 3)) / np.sqrt(3.0)
    points = _smooth_points(hull_points(cameras, views.masks), np.asarray(views.masks))
    return [
        ViewFields(
            plane=np.asarray(facing_plane(cameras, view)),
            surface=points[view],
            intrinsics=np.asarray(cameras.intrinsics)[view],
            w2c=np.asarray(cameras.w2c)[view],
            rise=rise[view],
            strength=FLOOR + (1.0 - FLOOR) * rise[view],
            line_of_sight=np.asarray(optical_axes(cameras))[0],
            depth=depth,
            shape=shape[view],
            slide=slide[view],
            light=light[view],
            patches=tuple(octave[view] for octave in octaves),
            donors=donors[view],
            gain=colors[0, view],
            bias=colors[1, view],
            turn=turns[view],
            detail=rng(8, view),
            grain=rng(9, view),
        )
        for view in range(count)
    ]


def _smooth_points(points: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Blurs points [V, height, width, 3] within the masks [V, height, width]."""
    sigma_px = SMOOTH_SIGMA * masks.shape[1]
    around = (0.0, sigma_px, sigma_px, 0.0)
    within = (masks > 0)[..., None].astype(np.float32)
    weight = gaussian_filter(within, around)
    smooth = gaussian_filter(points * within, around) / np.maximum(weight, 1e-6)
    return np.where(within > 0, smooth, points)


def damage_rise(centers: np.ndarray) -> np.ndarray:
    """Growth of the damage with the angle from view 0.

    Args:
      centers: [V, 3] camera centres, object at the origin.

    Returns:
      [V] float32, 0 at view 0, 1 at 180 degrees from view 0.
    """
    angle_deg = view_angles_deg(centers)[0]
    rise = (1.0 - np.exp(-angle_deg / RISE_DEG)) / (1.0 - np.exp(-180.0 / RISE_DEG))
    return rise.astype(np.float32)
