"""Composes pictures side by side; shows depth, opacity and differences as colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from jaxvsnerf.pictures.colormap import viridis
from jaxvsnerf.system.png import to_pillow

# Width in pixels of the white gap between pictures side by side.
GUTTER = 4
# Colour difference that is shown brightest.
DIFFERENCE_SHOWN = 0.25


def on_white(image: np.ndarray) -> np.ndarray:
    """Converts a grey, RGB or RGBA picture to [H, W, 3], compositing alpha over white."""
    image = np.asarray(image, np.float32)
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=-1)
    if image.shape[-1] == 4:
        return image[..., :3] * image[..., 3:] + (1.0 - image[..., 3:])
    return image


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resizes a picture through 8 bits, with Pillow's Lanczos filter.

    Args:
      image: [H, W, 3] or [H, W], float in [0, 1].
      width: new width in pixels.
      height: new height in pixels.

    Returns:
      [height, width, 3] or [height, width] float32; the picture itself if it has that size
      already.
    """
    if np.asarray(image).shape[:2] == (height, width):
        return np.asarray(image, np.float32)
    resized = to_pillow(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized, np.float32) / np.float32(255.0)


def side_by_side(images: Sequence[np.ndarray], gutter: int = GUTTER) -> np.ndarray:
    """Puts pictures in a row with white gutters, resized to the height of the tallest.

    Args:
      images: at least one picture [H, W, 3], [H, W, 4] or [H, W], float in [0, 1].
      gutter: width in pixels of the gap between neighbours.

    Returns:
      [H, sum of widths and gutters, 3] float32.

    Raises:
      ValueError: no picture, or a picture of a wrong shape.
    """
    if not len(images):
        raise ValueError("expected at least one picture, got none")
    height = max(np.shape(image)[0] for image in images)
    columns = []
    for image in images:
        rgb = on_white(image)
        width = max(1, round(rgb.shape[1] * height / rgb.shape[0]))
        columns += [resize(rgb, width, height), np.ones((height, gutter, 3), np.float32)]
    return np.concatenate(columns[:-1], axis=1)


def split_row(row: np.ndarray, width: int, gutter: int = GUTTER) -> list[np.ndarray]:
    """Splits a row that `side_by_side` made of pictures of one size.

    Args:
      row: [H, W, C].
      width: width of each picture in pixels.
      gutter: width in pixels of the gap between neighbours.

    Returns:
      Pictures [H, width, C], from left to right.
    """
    return [row[:, left : left + width] for left in range(0, row.shape[1], width + gutter)]


def depth_range(distance: np.ndarray, opacity: np.ndarray) -> tuple[float, float]:
    """Range of visible distances: their 1st and 99th percentile.

    Computed over all views of a column, the range gives the views a common scale.

    Args:
      distance: [...] along the rays.
      opacity: [...] in [0, 1]; distances of opacity under 0.5 do not count.

    Returns:
      near < far; (0, 1) if nothing is visible.
    """
    seen = np.asarray(distance, np.float64)[np.asarray(opacity) >= 0.5]
    if not seen.size:
        return 0.0, 1.0
    near, far = np.percentile(seen, [1.0, 99.0])
    return float(near), float(max(far, near + 1e-6))


def depth_picture(
    distance: np.ndarray,
    opacity: np.ndarray,
    near: float | None = None,
    far: float | None = None,
) -> np.ndarray:
    """Shows depth as colour: near is yellow, far dark violet, empty pixels white.

    Choice: near is bright, so that outlines, which are far, stand out from the white.

    Args:
      distance: [H, W] along the rays.
      opacity: [H, W] in [0, 1], blends towards white.
      near: distance shown brightest; None uses `depth_range` of the picture.
      far: distance shown darkest; None uses `depth_range` of the picture.

    Returns:
      [H, W, 3] float32 in [0, 1].

    Raises:
      ValueError: shapes differ.
    """
    distance, opacity = np.asarray(distance, np.float32), np.asarray(opacity, np.float32)
    if distance.shape != opacity.shape:
        raise ValueError(
            f"distance and opacity must have one shape, got {distance.shape} and {opacity.shape}"
        )
    found = depth_range(distance, opacity)
    near, far = found[0] if near is None else near, found[1] if far is None else far
    nearness = (far - distance) / max(far - near, 1e-6)
    cover = np.clip(opacity, 0.0, 1.0)[..., None]
    return viridis(nearness) * cover + (1.0 - cover)


def difference_picture(difference: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Shows differences as colour: 0 is dark violet, DIFFERENCE_SHOWN and more yellow.

    Args:
      difference: [H, W] differences of colours in [0, 1], at least 0.
      opacity: [H, W] in [0, 1], blends towards white.

    Returns:
      [H, W, 3] float32 in [0, 1].
    """
    cover = np.clip(opacity, 0.0, 1.0)[..., None]
    return viridis(difference / DIFFERENCE_SHOWN) * cover + (1.0 - cover)


def normal_picture(normal: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Shows normals as colour: (x, y, z) of -1 to 1 in the cube is (red, green, blue) of 0 to 1.

    Args:
      normal: [H, W, 3] normals, composited and so of any length; 0 is grey.
      opacity: [H, W] in [0, 1], blends towards white.

    Returns:
      [H, W, 3] float32 in [0, 1].

    Raises:
      ValueError: shapes differ.
    """
    normal, opacity = np.asarray(normal, np.float32), np.asarray(opacity, np.float32)
    if normal.shape != (*opacity.shape, 3):
        raise ValueError(
            f"expected normals of {(*opacity.shape, 3)} for opacities of {opacity.shape}, got "
            f"{normal.shape}"
        )
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    cover = np.clip(opacity, 0.0, 1.0)[..., None]
    return (0.5 + 0.5 * normal / np.maximum(length, 1e-6)) * cover + (1.0 - cover)


def opacity_picture(opacity: np.ndarray) -> np.ndarray:
    """Shows opacity [H, W] as a picture [H, W, 3] float32: opaque is white, empty black."""
    return on_white(np.clip(np.asarray(opacity, np.float32), 0.0, 1.0))
