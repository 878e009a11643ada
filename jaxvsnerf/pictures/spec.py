"""The turntable that a run renders."""

from __future__ import annotations

from dataclasses import dataclass

from jaxvsnerf.system.settings import check_spec, setting


@dataclass(frozen=True)
class TurntableSpec:
    """The video of a full turn round the object."""

    turntable_frames: int = setting(48, "Frames of the full turn.", at_least=1, at_most=10_000)
    turntable_fps: int = setting(24, "Frames per second of turntable.mp4.", at_least=1, at_most=240)
    turntable_size: int = setting(
        256, "Height and width of a frame.", at_least=1, at_most=4096, unit="pixels"
    )

    def __post_init__(self) -> None:
        check_spec(self, "render")
