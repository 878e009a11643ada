"""The cases: what a user has, and what is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.faults import captures, inputs

MADE, REFUSED = "made", "refused"


def same_frame() -> np.ndarray:
    """[4, 4] from the cube to the source, for sources in the cube's frame."""
    return np.eye(4)


def in_millimetres() -> np.ndarray:
    """[4, 4] from the cube to the frame of `captures.millimetres`."""
    return np.diag([1000.0, 1000.0, 1000.0, 1.0])


def of_first_camera() -> np.ndarray:
    """[4, 4] from the cube to the frame of `captures.colmap_tilted`."""
    return captures.square(captures.capture_views((35.0, 10.0))[0].w2c)[0].astype(float)


class Case(NamedTuple):
    """One input.

    Attributes:
      about: what the user has.
      write: writes the files into a folder; returns the flags that name them.
      right: MADE (a right object) or REFUSED (before training, with a message).
      words: a part of the message that a right outcome shows, '' for none.
      frame: makes the [4, 4] matrix from the cube's frame to the source's.
    """

    about: str
    write: Callable[[Path], inputs.Flags]
    right: str
    words: str = ""
    frame: Callable[[], np.ndarray] = same_frame


CASES = {
    "strip": Case("a strip", inputs.strip, MADE),
    "strip_jpeg": Case("a strip as JPEG 75", inputs.strip_jpeg, MADE),
    "strip_webp": Case("a strip as WebP 80", inputs.strip_webp, MADE),
    "nearly_opaque": Case("a few alpha pixels of 254", inputs.nearly_opaque, MADE),
    "rounded_corners": Case("transparent rounded corners", inputs.rounded_corners, MADE),
    "framed": Case("a thin line round each view", inputs.framed, MADE),
    "one_opaque": Case("one of 16 cut-outs is opaque", inputs.one_opaque, MADE),
    "four_one_opaque": Case("one of 4 cut-outs is opaque", inputs.four_one_opaque, MADE),
    "mixed": Case("one of Wonder3D's views is cut out", inputs.mixed, MADE),
    "inverted_alpha": Case("alpha is opaque round the object", inputs.inverted_alpha, MADE),
    "black_view": Case("one view is all black", inputs.black_view, REFUSED, "003"),
    "sideways": Case("photos stored sideways (EXIF)", inputs.sideways, MADE),
    "many": Case("120 views", inputs.many, MADE),
    "too_near": Case("Zero123++ at another distance", inputs.too_near, REFUSED, "similarity"),
    "four_strips": Case("a folder of four strips", inputs.four_strips, REFUSED, "strips of 16"),
    "two_by_two": Case("MVDream's views in two rows", inputs.two_by_two, MADE),
    "padded": Case("a grid with padding", inputs.padded, MADE),
    "animated": Case("SV3D as animated WebP", inputs.animated, MADE),
    "capture": Case("a capture", captures.capture, MADE),
    "millimetres": Case("poses in millimetres", captures.millimetres, MADE, frame=in_millimetres),
    "cropped": Case("cut by the border in some views", captures.cropped, MADE),
    "backslashes": Case("Windows paths, byte-order mark", captures.backslashes, MADE),
    "tiny_distortion": Case("distortion of 3e-17", captures.tiny_distortion, MADE),
    "larger_intrinsics": Case(
        "intrinsics of larger pictures", captures.larger_intrinsics, REFUSED, "4 times as large"
    ),
    "masks_of_ones": Case("masks of 0 and 1", captures.masks_of_ones, MADE),
    "masks_inverted": Case("masks with a black object", captures.masks_inverted, MADE, "turned"),
    "masks_in_alpha": Case("masks in an alpha channel", captures.masks_in_alpha, MADE),
    "one_mask_missing": Case("one frame names no mask", captures.one_mask_missing, MADE),
    "colmap_masks": Case("masks v00.png of v00.jpg", captures.colmap_masks, MADE),
    "colmap_fragments": Case("the larger model in sparse/1", captures.colmap_fragments, MADE),
    "colmap_no_points": Case("a COLMAP model without points", captures.colmap_no_points, MADE),
    "colmap_tilted": Case(
        "a COLMAP model in its own frame", captures.colmap_tilted, MADE, frame=of_first_camera
    ),
}
