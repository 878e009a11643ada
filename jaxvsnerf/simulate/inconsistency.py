"""Simulated view inconsistency: what generated views disagree about.

Multi-view diffusion models redraw an object from every side, and each picture differs from
the truth in its own way: shapes are bent, most along the line of sight of the one photo there
was, contents slide over the surface, colours and light drift, detail is drawn anew and texture
invented. Most of it grows with the angle from that photo, and neighbouring views share some.
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

# Views this near share much of what they share.
SHARED_DEG = 40.0
# A generator redraws the input view too, only better: of a real strip (`chicken`) that view
# scores 30 dB. Away from it the damage rises quickly at first.
FLOOR, RISE_DEG = 0.18, 85.0
# Cells along the cube of the fields that bend, light and colour it.
BEND_CELLS, SLIDE_CELLS, LIGHT_CELLS, PATCH_CELLS, DONOR_CELLS = 5, 10, 12, (12, 24, 40), 8
# Hulls have creases where objects have none: their points are blurred by this share of the
# height.
SMOOTH_SIGMA = 0.02


@dataclass(frozen=True)
class Simulated:
    """Damaged views, and what was done to each pixel.

    Attributes:
      views: with damaged pictures and masks.
      flow: [V, height, width, 2] float32: a pixel shows what belongs at (x, y) + flow, in
        pixels.
      error: [V, height, width] float32 root mean square over channels of what the picture
        shows minus what it should show.
    """

    views: ViewSet
    flow: np.ndarray
    error: np.ndarray


def damage_views(views: ViewSet, severity: str, seed: int) -> ViewSet:
    """The damaged views of `simulate` alone, by the name of a severity.

    Raises:
      ValueError: unknown severity, or views without masks.
    """
    if severity not in SEVERITIES:
        raise InputError(f"severity must be one of {', '.join(SEVERITIES)}, got {severity!r}")
    return simulate(views, SEVERITIES[severity], seed).views


def simulate(views: ViewSet, severity: Severity, seed: int) -> Simulated:
    """Damages every view, the input view least.

    Args:
      views: V views with masks; view 0 is the input view.
      severity: how much of what.
      seed: same seed, same damage.

    Returns:
      The damaged views, in numpy float32, with the axis of view 0 as `input_axis`, and the
      damage.

    Raises:
      ValueError: views without masks.
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
    """The random fields of every view."""
    cameras, count = views.cameras, len(views.images)
    centers = camera_centers(cameras)
    mixing, rise = view_mixing(centers, shared, SHARED_DEG), damage_rise(centers)

    def rng(kind: int, part: int = 0) -> np.random.Generator:
        """A stream for each kind, so that what one draws does not move another."""
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
    """Points [V, height, width, 3] blurred within the masks."""
    sigma_px = SMOOTH_SIGMA * masks.shape[1]
    around = (0.0, sigma_px, sigma_px, 0.0)
    within = (masks > 0)[..., None].astype(np.float32)
    weight = gaussian_filter(within, around)
    smooth = gaussian_filter(points * within, around) / np.maximum(weight, 1e-6)
    return np.where(within > 0, smooth, points)


def damage_rise(centers: np.ndarray) -> np.ndarray:
    """[V] float32: 0 at view 0, rising with the angle, 1 opposite to it (180 degrees).

    Args:
      centers: [V, 3] camera centres, object at the origin.
    """
    angle_deg = view_angles_deg(centers)[0]
    rise = (1.0 - np.exp(-angle_deg / RISE_DEG)) / (1.0 - np.exp(-180.0 / RISE_DEG))
    return rise.astype(np.float32)
