"""Strength of each kind of simulated view inconsistency."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Severity:
    """Strength of each kind of damage; 0 turns a kind off.

    Numbers are root mean squares at the view opposite to the input view, except `depth`,
    `detail`, `grain` and `blur`, which are the same in every view. Colours are in [0, 1].

    Attributes:
      depth: bend of the shape along the input view's line of sight, the same for all views, in
        sides of the cube.
      shape: bend of the shape in any direction, silhouettes included, in sides of the cube.
      slide: shift of contents within the silhouette, in sides of the cube.
      gain: log of the gain of each channel.
      bias: offset of each channel.
      light: log of a brightness that varies over the object.
      texture: share of the surface covered by invented patches in the object's own colours.
      detail: shift of fine detail within the silhouette, as a share of the picture's height.
      grain: noise, as a share of the local standard deviation of the colour.
      blur: standard deviation of a Gaussian, as a share of the picture's height.
      pose_deg: rotation of the object, as by a wrong camera pose, in degrees.
      shared: share of the variance of shape, slide, light and texture that neighbouring views
        have in common, 0 to 1.
    """

    depth: float = 0.0
    shape: float = 0.0
    slide: float = 0.0
    gain: float = 0.0
    bias: float = 0.0
    light: float = 0.0
    texture: float = 0.0
    detail: float = 0.0
    grain: float = 0.0
    blur: float = 0.0
    pose_deg: float = 0.0
    shared: float = 0.5

    def __post_init__(self):
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"severity.{name}: expected a number of at least 0, got {value}")
        if self.shared > 1:
            raise ValueError(f"severity.shared: expected 0 to 1, got {self.shared}")

    def scaled(self, factor: float) -> Severity:
        """Multiplies every kind of damage by `factor`; keeps `shared`."""
        kinds = {name: factor * value for name, value in vars(self).items() if name != "shared"}
        return Severity(**kinds, shared=self.shared)


# Choice: "medium" matches the real SyncDreamer strip `chicken`, see experiments/simulator.
MEDIUM = Severity(
    depth=0.0065,
    shape=0.003,
    slide=0.005,
    gain=0.03,
    bias=0.01,
    light=0.125,
    texture=0.83,
    detail=0.005,
    grain=0.15,
    blur=0.0015,
    pose_deg=0.6,
)
SEVERITIES = {
    "clean": Severity(),
    "mild": MEDIUM.scaled(0.5),
    "medium": MEDIUM,
    "severe": MEDIUM.scaled(2.0),
}
