"""How strong each kind of simulated view inconsistency is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxvsnerf.errors import InputError


@dataclass(frozen=True)
class Severity:
    """How strong each kind of damage is; 0 leaves it out.

    Lengths are shares of the cube's side or of the picture's height, colours those of
    pictures in [0, 1]. All are root mean squares opposite to the input view, but `depth`,
    `detail`, `grain` and `blur`, which are the same in every view.

    Attributes:
      depth: the shape is bent along the input view's line of sight, for all views alike.
      shape: the shape is bent in any direction, silhouettes included.
      slide: contents move within the silhouette.
      gain: of the log of each channel's gain.
      bias: of each channel's offset.
      light: of the log of a brightness that changes over the object.
      texture: share of the surface that shows invented patches, in the object's own colours.
      detail: fine detail lands beside its place, within the silhouette.
      grain: noise where there is detail, as a share of the picture's deviation there.
      blur: standard deviation of a Gaussian.
      pose_deg: the object is turned by this, as if the camera's pose were wrong.
      shared: share of the power of shape, slide, light and texture that views have in
        common with their neighbours.
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
                raise InputError(f"severity.{name}: expected a number of at least 0, got {value}")
        if self.shared > 1:
            raise InputError(f"severity.shared: expected 0 to 1, got {self.shared}")

    def scaled(self, factor: float) -> Severity:
        """All kinds of damage times `factor`."""
        kinds = {name: factor * value for name, value in vars(self).items() if name != "shared"}
        return Severity(**kinds, shared=self.shared)


# Choice: "medium" is the real SyncDreamer strip `chicken`, see experiments/simulator.
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
