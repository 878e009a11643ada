"""Settings of the preprocessing before training."""

from __future__ import annotations

from dataclasses import dataclass

from jaxvsnerf.system.settings import check_spec, setting


@dataclass(frozen=True)
class PreprocessSpec:
    """Steps before training; a step changes only the pictures that need the step.

    Choice: the defaults are what experiments/preprocess found to help and never to hurt.
    Harmonised colours are nearer to the truth, but a field trained on them is not.
    """

    denoise: bool = setting(True, "Remove noise from noisy pictures.")
    harmonize: bool = setting(
        False, "Give the colours of each view the gain and offset at which neighbours agree."
    )
    outliers: bool = setting(
        True, "Leave a view that agrees with no other view out of the loss and of the hull."
    )

    def __post_init__(self) -> None:
        check_spec(self, "preprocess")
