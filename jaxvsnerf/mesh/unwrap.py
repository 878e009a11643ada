"""Unwraps a surface into the charts of a UV atlas."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxvsnerf.system.extras import require

# Largest share of the whole area in one chart. Charting time grows with the square of the chart
# size: 20,000 faces take 0.6 s (404 charts), or 1.5 s without a limit (369 charts).
_CHART_SHARE = 0.01


class Charts(NamedTuple):
    """A mesh whose vertices are duplicated along the seams.

    Attributes:
      source: [N] int64, index of the old vertex of each of N new vertices.
      faces: [M, 3] int32 indices of new vertices, in the order of the old faces.
      uv: [N, 2] float32 in [0, 1], as in glTF: (0, 0) is the upper left corner of the texture.
    """

    source: np.ndarray
    faces: np.ndarray
    uv: np.ndarray


def unwrap(vertices: np.ndarray, faces: np.ndarray, size: int) -> Charts:
    """Packs charts of low distortion into a square without overlap.

    Args:
      vertices: [N, 3].
      faces: [M, 3].
      size: side of the texture in texels; sets the padding between charts.

    Returns:
      The charts.

    Raises:
      MissingExtra: xatlas is missing.
    """
    xatlas = require("xatlas")
    atlas, charting, packing = xatlas.Atlas(), xatlas.ChartOptions(), xatlas.PackOptions()
    atlas.add_mesh(np.asarray(vertices, np.float32), np.asarray(faces, np.uint32))
    charting.max_chart_area = _CHART_SHARE * _area(vertices, faces)
    packing.resolution = size
    # Four texels at 1024: charts then keep their own colours down to the third mipmap.
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
