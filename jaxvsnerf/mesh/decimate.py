"""Decimates a closed surface to a face budget."""

from __future__ import annotations

import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.mesh.components import solid_parts
from jaxvsnerf.mesh.repair import close_surface
from jaxvsnerf.system.extras import require

# Growth of the error threshold per round of edge collapses: above 5, more faces fold.
_AGGRESSION = 5.0
_ATTEMPTS = 8


def decimate(
    vertices: np.ndarray, faces: np.ndarray, max_faces: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Collapses edges in order of the quadric error until the face budget is met.

    Choice: quadric errors keep faces in curved regions and remove faces from flat regions. A few
    faces fold onto others; `close_surface` repairs the folds.

    Args:
      vertices: [N, 3].
      faces: [M, 3] of a closed surface, counter-clockwise seen from outside.
      max_faces: largest number of faces to keep.

    Returns:
      Vertices [N', 3] float32 and faces [M', 3] int32 of a closed surface, M' <= max_faces, and
      the number of holes that were filled. A surface within the budget is returned unchanged.

    Raises:
      InputError: the surface cannot be closed with so few faces.
      MissingExtra: fast-simplification is missing.

    Source: Garland and Heckbert, Surface Simplification Using Quadric Error Metrics (1997).
    """
    if len(faces) <= max_faces:
        return vertices, faces, 0
    simplify = require("fast_simplification").simplify
    target = max_faces
    for _ in range(_ATTEMPTS):
        fewer = simplify(
            np.ascontiguousarray(vertices, np.float32),
            np.ascontiguousarray(faces, np.int32),
            target_count=max(target, 4),
            agg=_AGGRESSION,
        )
        *closed, filled = close_surface(*fewer)
        if not len(closed[1]):
            break
        *reduced, _ = solid_parts(*closed)
        if len(reduced[1]) <= max_faces:
            return *reduced, filled
        target -= max(len(reduced[1]) - max_faces, 1)
    raise InputError(
        f"faces: expected enough faces for this surface, {max_faces} faces cannot close the "
        f"surface, which has {len(faces)}"
    )
