"""Connected components of a surface: bodies, floaters, walls of inner hollows."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Share of the largest body's volume below which a component is a floater. Choice: only specks.
# Pictures that contradict each other separate a head or a thin tail from its body, and most views
# have seen whatever lies within the visual hull.
FLOATER = 0.001


def solid_parts(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Keeps the outer walls of bodies; drops floaters and walls of inner hollows.

    Choice: ranks components by volume, not by area or faces, so that a ragged haze does not beat
    a body. Walls of inner hollows are separate components of opposite winding. Faces are flipped
    if needed so that the kept volume is positive.

    Args:
      vertices: [N, 3].
      faces: [M, 3], at least one.

    Returns:
      Vertices [N', 3], faces [M', 3] int32 counter-clockwise seen from outside, and the number
      of floaters that were dropped.
    """
    edges = np.concatenate([faces[:, :2], faces[:, 1:]]).T
    graph = coo_array((np.ones(edges.shape[1], np.int8), edges), shape=(len(vertices),) * 2)
    _, of_vertices = connected_components(graph, directed=False)
    # Unused vertices are components too: renumber only the components that have faces.
    _, labels = np.unique(of_vertices[faces[:, 0]], return_inverse=True)
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    volumes = np.bincount(labels, np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0)
    largest = volumes[np.abs(volumes).argmax()]
    # Signed shares of the largest: the wall of a hollow has opposite winding, so a negative share.
    shares = volumes / largest if largest else np.ones_like(volumes)
    solid = shares >= FLOATER
    kept = faces[solid[labels]]
    kept = kept if largest >= 0 else kept[:, ::-1]
    used, renumbered = np.unique(kept, return_inverse=True)
    floaters = int(((shares > 0) & ~solid).sum())
    return vertices[used], renumbered.reshape(kept.shape).astype(np.int32), floaters
