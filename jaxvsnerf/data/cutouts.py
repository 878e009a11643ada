"""Tells an alpha channel that cuts an object out from one that says nothing.

Editors, resizers and lossy formats leave alpha channels that were opaque once: a few pixels of
254, rounded corners, a thin transparent rim. Such a picture is read as an opaque picture.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from jaxvsnerf.data.borders import border_color, frame_lines
from jaxvsnerf.data.images import Picture
from jaxvsnerf.data.masks import mask_from_background

# Opacity below which a pixel is transparent, and from which a pixel of an alpha channel that says
# nothing still shows its own colour.
CLEAR, SHOWN = 0.5, 0.9
# Least difference of opacities, share of transparent pixels, and their share of the border, of a
# cut-out.
LEAST_RANGE, LEAST_CLEAR, LEAST_BORDER = 0.1, 0.02, 0.02
# Least share of its box that a picture with rounded corners fills (a circle fills 0.785), and
# largest share of it that the object inside fills.
ROUNDED_FILLS, OBJECT_FILLS = 0.75, 0.9


class Seen(NamedTuple):
    """A picture whose alpha channel has been judged.

    Attributes:
      rgb: [height, width, 3] float32 in [0, 1], straight alpha.
      alpha: [height, width] float32 in [0, 1], or None if the picture has none that says anything.
      hidden: [height, width] bool, pixels that show neither object nor background: lines around
        the picture, transparent corners.
      mask_file: whether `alpha` comes from a mask file.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None
    hidden: np.ndarray
    mask_file: bool = False


def look(picture: Picture, trusted: bool) -> Seen:
    """Judges the alpha channel of a picture, and finds lines around it.

    Args:
      picture: the picture.
      trusted: whether to take any alpha channel as it is.
    """
    rgb, alpha = picture.rgb, picture.alpha
    nothing = np.zeros(rgb.shape[:2], bool)
    if alpha is None:
        return Seen(rgb, None, frame_lines(rgb))
    if trusted or picture.mask_file:
        return Seen(rgb, alpha, nothing, picture.mask_file)
    # The lines of a grid are opaque around cut-outs.
    alpha = np.where(frame_lines(alpha[..., None]), np.float32(0), alpha)
    if is_cutout(rgb, alpha):
        return Seen(rgb, alpha, nothing)
    clear = alpha < CLEAR
    # Of a picture whose inside is transparent, the colours below are what is left to use.
    outside = clear.mean() < LEAST_CLEAR or _border(clear).mean() >= LEAST_BORDER
    hidden = alpha < SHOWN if outside and clear.any() and alpha.max() >= SHOWN else nothing
    return Seen(rgb, None, hidden | frame_lines(rgb, hidden))


def is_cutout(rgb: np.ndarray, alpha: np.ndarray) -> bool:
    """Whether an alpha channel separates an object from its surroundings.

    An alpha channel without an opaque pixel counts: its view shows no object.

    Args:
      rgb: [height, width, 3] in [0, 1], straight alpha.
      alpha: [height, width] in [0, 1].
    """
    clear = alpha < CLEAR
    if not alpha.any():
        return True
    if alpha.max() - alpha.min() < LEAST_RANGE:
        return False
    rim = frame_lines(np.ones((*clear.shape, 1), np.float32), clear)
    left = clear & ~rim
    if left.mean() < LEAST_CLEAR or _border(clear).mean() < LEAST_BORDER:
        return False
    return not _is_rounded(rgb, clear)


def _border(clear: np.ndarray) -> np.ndarray:
    """[N] outermost pixels."""
    return np.concatenate([clear[0], clear[-1], clear[1:-1, 0], clear[1:-1, -1]])


def _is_rounded(rgb: np.ndarray, clear: np.ndarray) -> bool:
    """Whether transparent pixels only round the corners of a picture that shows a background.

    A plain ball that touches all four sides looks the same; there the colour is that of the
    object, and the picture shows nothing else.
    """
    shown = ~clear
    rows, columns = shown.any(1), shown.any(0)
    if not (rows[0] and rows[-1] and columns[0] and columns[-1]):
        return False
    labels, count = ndimage.label(clear)
    corners = labels[[0, 0, -1, -1], [0, -1, 0, -1]]
    in_corners = np.isin(labels, corners[corners > 0]).sum()
    if not count or in_corners < ROUNDED_FILLS * clear.sum() or shown.mean() < ROUNDED_FILLS:
        return False
    color = border_color(rgb, hidden=clear)
    if color is None:
        return False
    inside = mask_from_background(np.where(clear[..., None], color, rgb), color)
    return 0.0 < inside.sum() < OBJECT_FILLS * shown.sum()
