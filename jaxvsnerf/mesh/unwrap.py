"""A surface cut into charts and laid out flat, so that a picture can cover it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxvsnerf.system.extras import require

# Of the whole area, at most in one chart. The time to find charts grows with the square of
# their size: 20,000 faces take 0.6 s so, and 1.5 s without a limit, for 404 charts and 369.
_CHART_SHARE = 0.01


class Charts(NamedTuple):
    """A mesh whose vertices are doubled along the cuts.

    Attributes:
      source: [N] int64, the vertex that each of the N new ones was.
      faces: [M, 3] int32 of new vertices, in the order of the old faces.
      uv: [N, 2] float32 in [0, 1], glTF's: (0, 0) is the upper left corner of the picture.
    """

    source: np.ndarray
    faces: np.ndarray
    uv: np.ndarray


def unwrap(vertices: np.ndarray, faces: np.ndarray, size: int) -> Charts:
    """Charts of little distortion that do not overlap, packed into a square.

    Args:
      vertices: [N, 3].
      faces: [M, 3].
      size: side of the texture in texels; sets the room between charts.

    Returns:
      Charts.

    Raises:
      ImportError: xatlas is missing.
    """
    xatlas = require("xatlas")
    atlas, charting, packing = xatlas.Atlas(), xatlas.ChartOptions(), xatlas.PackOptions()
    atlas.add_mesh(np.asarray(vertices, np.float32), np.asarray(faces, np.uint32))
    charting.max_chart_area = _CHART_SHARE * _area(vertices, faces)
    packing.resolution = size
    # Four texels of 1024: so much is left of a chart's own colours in its third mipmap.
    packing.padding = max(size // 256, 1)
    atlas.generate(charting, packing)
    source, corners, uv = atlas[0]
    return Charts(
        source.astype(np.int64),
        corners.reshape(-1, 3).astype(np.int32),
        np.clip(uv, 0.0, 1.0).astype(np.float32),
    )


def _area(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (np.asarray(vertices, np.float64)[faces[:, k]] for k in range(3))
    return 0.5 * float(np.linalg.norm(np.cross(b - a, c - a), axis=-1).sum())
