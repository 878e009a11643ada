"""What is done to the input pictures before training."""

from __future__ import annotations

from dataclasses import dataclass

from jaxvsnerf.errors import InputError


@dataclass(frozen=True)
class PreprocessSpec:
    """What is done to the input pictures, each only where it is found to be needed.

    Choice: the defaults are what experiments/preprocess found to help and never to hurt.
    Harmonised colours are nearer to the truth, but what is trained on them is not.

    Attributes:
      denoise: remove noise from pictures that have some.
      harmonize: give each view the gain and offset of its colours at which neighbours agree.
      outliers: leave a view that agrees with no other out of the loss and of the hull.
    """

    denoise: bool = True
    harmonize: bool = False
    outliers: bool = True

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, bool):
                raise InputError(f"preprocess.{name}: expected True or False, got {value!r}")
