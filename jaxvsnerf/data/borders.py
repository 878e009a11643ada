"""Judges the border of a picture: thin lines around it, the colour behind the object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

# Largest difference of a channel from the background's colour that counts as background: the
# white of generated views varies by up to 4/255 at the border (seven real SyncDreamer strips).
THRESHOLD = 0.04
# Lines around a picture: at most this share of the picture's shorter side on each side, and from
# this side in pixels on; a smaller picture has no room for lines.
LINE, LEAST_LINE, SMALLEST = 0.02, 2, 16
# Share of a row or column that a line fills. Lossy files blur a line into the next rows: of rows
# with at least the second share of other pixels, up to so many, faint pixels belong to the line.
LINE_FILLS, BLUR_FILLS, BLUR, FAINT = 0.9, 0.1, 6, 0.2


def frame_lines(rgb: np.ndarray, hidden: np.ndarray | None = None) -> np.ndarray:
    """Finds thin lines around a picture: the lines of a grid, a frame, a transparent rim.

    Args:
      rgb: [height, width, C] in [0, 1].
      hidden: [height, width] bool, pixels that show nothing, or None; a line may consist of them.

    Returns:
      [height, width] bool, the pixels of the lines.
    """
    height, width = rgb.shape[:2]
    lines = np.zeros((height, width), bool)
    most = max(LEAST_LINE, round(LINE * min(height, width)))
    if min(height, width) < SMALLEST:
        return lines
    inner = (slice(most + 1, -most - 1),) * 2
    color = np.median(_ring(rgb[inner]), axis=0)
    difference = np.abs(rgb - color).max(-1)
    differs, faint = difference > THRESHOLD, difference < FAINT
    if hidden is not None:
        differs |= hidden
    for side in range(4):  # top, right, bottom, left
        # Without the ends of the rows, where lines of other sides may be.
        share = np.rot90(differs, side)[: most + BLUR, most:-most].mean(1)
        thick = int(np.argmin(np.append(share >= LINE_FILLS, False)))
        if 0 < thick <= most:
            blurred = thick + int(np.argmin(np.append(share[thick:] >= BLUR_FILLS, False)))
            np.rot90(lines, side)[:thick] = True
            np.rot90(lines, side)[thick:blurred] |= np.rot90(faint, side)[thick:blurred]
    return lines


def border_color(
    rgb: np.ndarray, threshold: float = THRESHOLD, hidden: np.ndarray | None = None
) -> np.ndarray | None:
    """Background colour of a picture: the median of its border, per channel.

    Args:
      rgb: [height, width, 3] in [0, 1].
      threshold: largest difference of a channel that counts as background, in (0, 1).
      hidden: [height, width] bool, pixels beyond the border (see `frame_lines`), or None.

    Returns:
      [3] float32, or None if less than half of the border has that colour.
    """
    border = border_pixels(rgb, hidden)
    if not len(border):
        return None
    color = np.median(border, axis=0).astype(np.float32)
    return color if _mostly(border, color, threshold) else None


def border_is_background(
    rgb: np.ndarray, background: np.ndarray, threshold: float, hidden: np.ndarray | None = None
) -> bool:
    """Whether at least half of the picture's border has the background's colour.

    Args:
      rgb: [height, width, 3] in [0, 1].
      background: [3] in [0, 1].
      threshold: largest difference of a channel that counts as background, in (0, 1).
      hidden: see `border_color`.
    """
    return _mostly(border_pixels(rgb, hidden), background, threshold)


def border_pixels(rgb: np.ndarray, hidden: np.ndarray | None = None) -> np.ndarray:
    """[N, C] outermost pixels of a picture that are not hidden."""
    if hidden is None or not hidden.any():
        return _ring(rgb)
    beyond = np.pad(hidden, 1, constant_values=True)
    rim = ndimage.binary_dilation(beyond, np.ones((3, 3)))[1:-1, 1:-1] & ~hidden
    return rgb[rim]


def find_backgrounds(
    rgbs: Sequence[np.ndarray],
    hidden: Sequence[np.ndarray],
    seen: Sequence[bool],
    threshold: float = THRESHOLD,
) -> np.ndarray:
    """Detects the colour behind the object in each picture, from the borders.

    All backgrounds are white if every border is white within the threshold, or if any border is
    not of one colour.

    Args:
      rgbs: V pictures [height, width, 3], not composited.
      hidden: V masks [height, width] bool, see `border_color`.
      seen: whether each picture shows its background; cut-out pictures do not.
      threshold: see `border_color`.

    Returns:
      [V, 3] float32; pictures that show no background get the median of the others.
    """
    triples = zip(rgbs, hidden, seen, strict=True)
    colors = [border_color(rgb, threshold, one) if shows else None for rgb, one, shows in triples]
    known = [color for color in colors if color is not None]
    white = np.ones((len(rgbs), 3), np.float32)
    if not known or len(known) < sum(seen):
        return white
    common = np.median(known, axis=0).astype(np.float32)
    if np.abs(np.array(known) - 1.0).max() <= threshold:
        return white
    return np.stack([common if color is None else color for color in colors])


def _mostly(border: np.ndarray, background: np.ndarray, threshold: float) -> bool:
    near = np.abs(border - np.asarray(background, border.dtype)).max(-1) <= threshold
    return bool(len(near) and near.mean() >= 0.5)


def _ring(rgb: np.ndarray) -> np.ndarray:
    """[N, C] outermost pixels of a picture."""
    return np.concatenate([rgb[0], rgb[-1], rgb[1:-1, 0], rgb[1:-1, -1]])
