"""Rasterizes triangles in the image plane into the pixels whose centres they cover."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Candidate pixels tested at a time: bounds memory.
_TOGETHER = 2**21


class Fragments(NamedTuple):
    """N pairs of a pixel and a triangle that covers the pixel's centre.

    Attributes:
      pixels: [N] int64, row * width + column.
      faces: [N] int64 indices of triangles.
      weights: [N, 3] float64 barycentric weights of the triangle's corners.
    """

    pixels: np.ndarray
    faces: np.ndarray
    weights: np.ndarray


def rasterize(corners: np.ndarray, height: int, width: int) -> Fragments:
    """Rasterizes triangles without a depth test: all pixel centres inside each triangle.

    Args:
      corners: [M, 3, 2] positions (x, y) in pixels; the centre of the first pixel is
        (0.5, 0.5). Either winding; triangles that are not finite or have no area are skipped.
      height: picture height in pixels.
      width: picture width in pixels.

    Returns:
      Fragments, ordered by triangle. A centre on an edge belongs to both adjacent triangles.
    """
    corners = np.asarray(corners, np.float64)
    ids = np.flatnonzero(np.isfinite(corners).all((1, 2)))
    low, high = corners[ids].min(1), corners[ids].max(1)
    # Pixels whose centres lie between the bounds.
    limit = np.array([width, height])
    first = np.clip(np.ceil(low - 0.5), 0, limit).astype(np.int64)
    counts = np.clip(np.floor(high - 0.5) + 1, 0, limit).astype(np.int64) - first
    counts = np.maximum(counts, 0)
    total = counts.prod(-1)
    ids, first, counts, total = (a[total > 0] for a in (ids, first, counts, total))
    pieces = [_covered(corners, *part, width) for part in _parts(ids, first, counts, total)]
    pieces = pieces or [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)))]
    return Fragments(*map(np.concatenate, zip(*pieces, strict=True)))


def _parts(ids: np.ndarray, first: np.ndarray, counts: np.ndarray, total: np.ndarray):
    """Splits triangles into groups of about _TOGETHER candidate pixels."""
    groups = np.cumsum(total) // _TOGETHER
    cuts = np.flatnonzero(np.diff(groups)) + 1
    parts = [np.split(array, cuts) for array in (ids, first, counts, total)]
    return zip(*parts, strict=True) if len(ids) else ()


def _covered(
    corners: np.ndarray,
    ids: np.ndarray,
    first: np.ndarray,
    counts: np.ndarray,
    total: np.ndarray,
    width: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tests all pixels in the triangles' bounding boxes; returns pixels, triangles, weights."""
    owner = np.repeat(np.arange(len(ids)), total)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(total) - total, total)
    columns = counts[owner, 0]
    x, y = first[owner, 0] + within % columns, first[owner, 1] + within // columns
    a, b, c = (corners[ids, k] for k in range(3))
    area = _cross(b - a, c - a)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(area != 0, 1.0 / area, np.nan)[owner]
    p = np.stack([x + 0.5, y + 0.5], -1)
    second = _cross(p - a[owner], (c - a)[owner]) * inverse
    third = _cross((b - a)[owner], p - a[owner]) * inverse
    weights = np.stack([1.0 - second - third, second, third], -1)
    inside = np.flatnonzero((weights >= -1e-9).all(-1))
    return y[inside] * width + x[inside], ids[owner[inside]], weights[inside]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
