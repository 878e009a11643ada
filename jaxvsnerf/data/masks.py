"""Computes object masks from a background of one colour."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from jaxvsnerf.data.borders import THRESHOLD, border_pixels

# Choice: a threshold of so many times the background's noise, between the limits. Noise is 0.4 to
# 0.7 of 255 in seven real SyncDreamer strips (threshold 0.025 to 0.04), 0.5 to 1 in WebP of quality
# 80, 0.7 to 1.9 in JPEG of quality 75 to 95, and 0 in clean renderings. Objects fade into the
# background of generated views over a few pixels: below 0.025 outlines become too wide.
NOISE_FACTOR, LEAST_THRESHOLD = 20.0, 1.5 / 255.0
# The threshold exceeds the variation of the border itself by this factor.
BORDER_FACTOR = 2.5
# The noise is measured from the first to the second distance from the object, in pixels: beside
# the object lossy files and generators leave more of it than at the border.
NEAR, FAR = 1, 10
# Pieces of an object at most this share of the picture's side apart are joined by pixels between
# them that differ from the background at least by this share of the threshold: a pale stem. With
# more noise than JOIN_NOISE, lossy files, such pixels are the noise around the object.
JOIN_REACH, JOIN_SHARE, JOIN_NOISE = 0.055, 0.25, 0.72 / 255.0
# Specks below this share of the picture are generator noise, not part of the object.
MIN_OBJECT = 2e-4
# An enclosed patch of background colour counts as a hole (in a handle) from this share of the
# picture on; a smaller patch is a white part of the object (a highlight, an eye).
MIN_HOLE = 3e-3
# Largest excess of a hole's mean difference from the background's colour over that of the
# background itself: real holes stay within 2.5/255, white parts differ by 3/255 and more.
HOLE_EVENNESS = 2.5 / 255.0


def mask_from_background(
    rgb: np.ndarray,
    background: np.ndarray,
    threshold: float = THRESHOLD,
    min_object: float = MIN_OBJECT,
    min_hole: float = MIN_HOLE,
    softness: float = 0.0,
) -> np.ndarray:
    """Object mask of a picture on a background of one colour.

    Background is the region of background colour that touches the border, so that white parts
    inside an object on white survive. Enclosed patches count as holes only if they are
    large and as even as the background itself.

    Args:
      rgb: [height, width, 3] in [0, 1].
      background: [3] in [0, 1].
      threshold: largest difference from the background, in any channel, that counts as
        background, in (0, 1).
      min_object: share of the picture below which a separate piece is dropped.
      min_hole: share of the picture from which an enclosed patch may be a hole; 1 keeps
        every hole filled.
      softness: 0 for a hard mask; else object pixels beside the background get the opacity
        difference / softness, at most 1.

    Returns:
      [height, width] float32 in [0, 1]; all zero if no object was found.
    """
    difference = np.abs(rgb - np.asarray(background, rgb.dtype)).max(-1)
    near = difference <= threshold
    # A frame of one background pixel joins background regions that the object separates.
    labels, count = ndimage.label(np.pad(near, 1, constant_values=True))
    outside = labels == labels[0, 0]
    labels = labels[1:-1, 1:-1]
    outside = outside[1:-1, 1:-1]
    if count > 1 and outside.any():
        outside = outside | _holes(labels, difference, outside, min_hole * near.size)
    pieces, count = ndimage.label(~outside, structure=np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    mask = (sizes >= min_object * near.size)[pieces] & ~outside
    if softness <= 0:
        return mask.astype(np.float32)
    rim = mask & ndimage.binary_dilation(~mask, structure=np.ones((3, 3)))
    soft = np.clip(difference / softness, 0.0, 1.0)
    return np.where(rim, soft, mask).astype(np.float32)


def _holes(
    labels: np.ndarray, difference: np.ndarray, outside: np.ndarray, min_pixels: float
) -> np.ndarray:
    """[height, width] bool, large enclosed patches as even as the background."""
    sizes = np.bincount(labels.ravel())
    sums = np.bincount(labels.ravel(), weights=difference.ravel())
    mean = sums / np.maximum(sizes, 1)
    even = mean <= difference[outside].mean() + HOLE_EVENNESS
    is_hole = even & (sizes >= min_pixels)
    is_hole[0] = False
    return is_hole[labels]


def mask_on_background(
    rgb: np.ndarray,
    background: np.ndarray,
    threshold: float | None = None,
    hidden: np.ndarray | None = None,
) -> np.ndarray:
    """Object mask of a picture whose threshold may be decided by the picture's own noise.

    Outlines are those of THRESHOLD. The picture's own, smaller threshold adds the pale parts that
    reach beyond these outlines, and pieces of the object that lie close together are joined by the
    pale pixels between them.

    Args:
      rgb: [height, width, 3] in [0, 1].
      background: [3] in [0, 1].
      threshold: see `mask_from_background`; None decides by the noise.
      hidden: [height, width] bool, pixels that are no object, such as lines around the picture,
        or None.

    Returns:
      [height, width] float32, 0 or 1; all zero if no object was found.
    """
    if hidden is not None and hidden.any():
        rgb = np.where(hidden[..., None], np.asarray(background, rgb.dtype), rgb)
    if threshold is not None:
        return mask_from_background(rgb, background, threshold)
    noise = background_noise(rgb, background)
    own = own_threshold(rgb, background, noise, hidden)
    pale = mask_from_background(rgb, background, own) > 0
    mask = _with_pale_parts(mask_from_background(rgb, background) > 0, pale)
    if noise <= JOIN_NOISE:
        faint = max(JOIN_SHARE * own, LEAST_THRESHOLD)
        mask = _joined(mask, rgb, background, faint)
    return mask.astype(np.float32)


def _with_pale_parts(mask: np.ndarray, pale: np.ndarray) -> np.ndarray:
    """A mask and those parts of a wider mask that reach beyond a rim of one pixel around it.

    Objects fade into the background over a few pixels: the rim alone is no part of an object.
    """
    beyond = pale & ~_grown(mask, 1)
    return mask | (pale & _grown(beyond, 2))


def background_noise(rgb: np.ndarray, background: np.ndarray) -> float:
    """Root mean square of the noise that the background has beside the object.

    Args:
      rgb: [height, width, 3] in [0, 1].
      background: [3] in [0, 1].
    """
    difference = np.abs(rgb - np.asarray(background, rgb.dtype)).max(-1)
    other = difference > THRESHOLD
    band = _grown(other, FAR) & ~_grown(other, NEAR)
    if not band.any():
        band = ~other
    rough = (difference - ndimage.median_filter(difference, 3))[band]
    return float(np.sqrt(np.mean(np.square(rough)))) if rough.size else 0.0


def own_threshold(
    rgb: np.ndarray, background: np.ndarray, noise: float, hidden: np.ndarray | None = None
) -> float:
    """Threshold that a picture's own background allows, at most THRESHOLD.

    A clean background allows a small threshold, which keeps white parts of an object on white.

    Args:
      rgb: [height, width, 3] in [0, 1].
      background: [3] in [0, 1].
      noise: see `background_noise`.
      hidden: see `mask_on_background`.
    """
    border = np.abs(border_pixels(rgb, hidden) - np.asarray(background, rgb.dtype)).max(-1)
    border = border[border <= THRESHOLD]
    varies = float(np.quantile(border, 0.99)) if border.size else 0.0
    own = max(NOISE_FACTOR * noise, BORDER_FACTOR * varies)
    return float(np.clip(own, LEAST_THRESHOLD, THRESHOLD))


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """A mask, grown by `pixels` in every direction (square window)."""
    return ndimage.maximum_filter(mask.view(np.uint8), 2 * pixels + 1, mode="constant") > 0


def _joined(mask: np.ndarray, rgb: np.ndarray, background: np.ndarray, faint: float) -> np.ndarray:
    """A mask and the pale pixels that join two of its pieces.

    Args:
      mask: [height, width] bool.
      rgb: [height, width, 3] in [0, 1].
      background: [3] in [0, 1].
      faint: least difference from the background of a pixel that joins pieces.
    """
    pieces, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count < 2:
        return mask
    reach = max(round(0.5 * JOIN_REACH * min(mask.shape)), 1)
    closed = _grown(~_grown(np.pad(mask, reach), reach), reach)[reach:-reach, reach:-reach]
    pale = np.abs(rgb - np.asarray(background, rgb.dtype)).max(-1) > faint
    gaps, gap_count = ndimage.label(pale & ~closed & ~mask, structure=np.ones((3, 3)))
    if not gap_count:
        return mask
    index = np.arange(1, gap_count + 1)
    window = dict(size=3, mode="constant")
    last = ndimage.maximum(ndimage.maximum_filter(pieces, **window), gaps, index)
    other = np.where(mask, pieces, count + 1)
    first = ndimage.minimum(ndimage.minimum_filter(other, 3, mode="nearest"), gaps, index)
    joins = np.concatenate([[False], (last > 0) & (first < last)])
    return mask | joins[gaps]
