"""Computes object masks from alpha or from a background of one colour."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from scipy import ndimage

from jaxvsnerf.errors import InputError

# The white background of generated views varies by up to 4/255 at the border (seven real
# SyncDreamer strips), and objects fade into it over a few pixels. A threshold of 0.06 fits the
# true outline 0.2 % better on `chicken` but leaks into a white kettle.
THRESHOLD = 0.04
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


def border_is_background(rgb: np.ndarray, background: np.ndarray, threshold: float) -> bool:
    """Whether at least half of the picture's border has the background's colour.

    Args:
      rgb: [height, width, 3] in [0, 1].
      background: [3] in [0, 1].
      threshold: see `mask_from_background`.
    """
    near = np.abs(_border(rgb) - np.asarray(background, rgb.dtype)).max(-1) <= threshold
    return bool(near.mean() >= 0.5)


def border_color(rgb: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray | None:
    """Background colour of a picture: the median of its border, per channel.

    Args:
      rgb: [height, width, 3] in [0, 1].
      threshold: see `mask_from_background`.

    Returns:
      [3] float32, or None if less than half of the border has that colour.
    """
    color = np.median(_border(rgb), axis=0).astype(np.float32)
    return color if border_is_background(rgb, color, threshold) else None


def find_backgrounds(
    rgbs: Sequence[np.ndarray],
    alphas: Sequence[np.ndarray | None],
    threshold: float = THRESHOLD,
) -> np.ndarray:
    """Detects the colour behind the object in each picture, from the borders.

    Pictures with transparent pixels are left out. All backgrounds are white if every border is
    white within the threshold, or if any border is not of one colour.

    Args:
      rgbs: V pictures [height, width, 3], not composited.
      alphas: V alpha channels [height, width], None for a picture without alpha.
      threshold: see `mask_from_background`.

    Returns:
      [V, 3] float32; pictures with transparent pixels get the median of the others.
    """
    opaque = [a is None or bool((a >= 1).all()) for a in alphas]
    pairs = zip(rgbs, opaque, strict=True)
    colors = [border_color(rgb, threshold) if seen else None for rgb, seen in pairs]
    known = [color for color in colors if color is not None]
    white = np.ones((len(rgbs), 3), np.float32)
    if not known or len(known) < sum(opaque):
        return white
    common = np.median(known, axis=0).astype(np.float32)
    if np.abs(np.array(known) - 1.0).max() <= threshold:
        return white
    return np.stack([common if color is None else color for color in colors])


def _border(rgb: np.ndarray) -> np.ndarray:
    """[N, 3] outermost pixels of a picture."""
    return np.concatenate([rgb[0], rgb[-1], rgb[1:-1, 0], rgb[1:-1, -1]])


def choose_mask_source(
    mode: str,
    rgbs: Sequence[np.ndarray],
    alphas: Sequence[np.ndarray | None],
    background: np.ndarray,
    threshold: float,
) -> str:
    """Resolves the mask mode 'auto' for a set of pictures.

    Args:
      mode: 'auto', 'alpha', 'background' or 'none'; all but 'auto' are returned as given.
      rgbs: V pictures [height, width, 3].
      alphas: V alpha channels [height, width], None for a picture without alpha.
      background: [3] colour behind opaque pictures, or [V, 3].
      threshold: see `mask_from_background`.

    Returns:
      'alpha' if every picture has an alpha channel and some pixel is transparent,
      'background' if every picture's border has the background's colour, else 'none'.
    """
    if mode != "auto":
        return mode
    if all(a is not None for a in alphas) and any((a < 1).any() for a in alphas):
        return "alpha"
    backgrounds = np.broadcast_to(background, (len(rgbs), 3))
    if all(map(partial(border_is_background, threshold=threshold), rgbs, backgrounds)):
        return "background"
    return "none"


def object_masks(
    source: str,
    rgbs: Sequence[np.ndarray],
    alphas: Sequence[np.ndarray | None],
    background: np.ndarray,
    names: Sequence[str],
    threshold: float = THRESHOLD,
) -> np.ndarray | None:
    """Computes the masks of V pictures of one size.

    Args:
      source: 'alpha', 'background' or 'none'.
      rgbs: V pictures [height, width, 3], composited.
      alphas: V alpha channels [height, width], None for a picture without alpha.
      background: [3] or [V, 3] in [0, 1].
      names: V names for messages.
      threshold: see `mask_from_background`.

    Returns:
      [V, height, width] float32 in [0, 1], or None for 'none'.

    Raises:
      InputError: 'alpha' but a picture has no alpha channel; a view shows no object.
    """
    if source == "none":
        return None
    masks = np.empty((len(rgbs), *rgbs[0].shape[:2]), np.float32)
    backgrounds = np.broadcast_to(background, (len(rgbs), 3))
    for index, (rgb, alpha, name) in enumerate(zip(rgbs, alphas, names, strict=True)):
        if source == "alpha" and alpha is None:
            raise InputError(
                f"view {name} has no alpha channel, but masks were asked from alpha; give RGBA "
                "pictures or take data.mask=background or data.mask=none"
            )
        masks[index] = (
            alpha if source == "alpha" else mask_from_background(rgb, backgrounds[index], threshold)
        )
        if not (masks[index] > 0.5).any():
            raise InputError(
                f"view {name} shows no object: its mask from {source} is empty; leave the view "
                "out, or change data.background, data.mask or data.mask_threshold"
            )
    return masks
