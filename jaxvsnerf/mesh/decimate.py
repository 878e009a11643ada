"""Fewer triangles for the same surface."""

from __future__ import annotations

import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.mesh.components import solid_parts
from jaxvsnerf.mesh.repair import close_surface
from jaxvsnerf.system.extras import require

# How readily an edge goes in the first rounds: above 5 more faces end up folded.
_AGGRESSION = 5.0
_ATTEMPTS = 8


def decimate(
    vertices: np.ndarray, faces: np.ndarray, max_faces: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Collapses edges in the order of the quadric error until the budget is met.

    Choice: quadrics, since they keep what is curved and thin out what is flat. They fold a
    few faces onto others, which is repaired (`close_surface`).

    Args:
      vertices: [N, 3].
      faces: [M, 3] of a closed surface, counter-clockwise seen from outside.
      max_faces: most faces to leave.

    Returns:
      vertices [N', 3] float32, faces [M', 3] int32 of a closed surface, M' <= max_faces, and
      how many holes were filled. A surface within the budget is returned as it is.

    Raises:
      ValueError: so few faces cannot close it.
      ImportError: fast-simplification is missing.

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
        f"faces: expected enough of them for this surface, {max_faces} cannot close it; "
        f"it has {len(faces)}"
    )
