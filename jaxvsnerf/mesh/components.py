"""The connected parts of a surface: bodies, floaters, walls of hollows."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Of the largest body's volume; what is smaller floats. Choice: no more than specks. Pictures that
# contradict each other part a head or a thin tail from its body, and what lies within the hull of
# the silhouettes has been seen by most views.
FLOATER = 0.001


def solid_parts(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The outer walls of the bodies that are no floaters, their vertices renumbered.

    Choice: by volume and not by area or faces, so that a ragged haze does not beat a body;
    the walls of a body's inner hollows are parts of their own and go. What is kept is
    therefore turned so that its volume is positive.

    Args:
      vertices: [N, 3].
      faces: [M, 3], at least one.

    Returns:
      Vertices [N', 3] and faces [M', 3] int32, counter-clockwise seen from outside; and how
      many parts that face outward were left out.
    """
    edges = np.concatenate([faces[:, :2], faces[:, 1:]]).T
    graph = coo_array((np.ones(edges.shape[1], np.int8), edges), shape=(len(vertices),) * 2)
    _, of_vertices = connected_components(graph, directed=False)
    # Vertices of no face are parts too; only those of faces count.
    _, labels = np.unique(of_vertices[faces[:, 0]], return_inverse=True)
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    volumes = np.bincount(labels, np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0)
    largest = volumes[np.abs(volumes).argmax()]
    # Relative to the largest: a hollow's wall is wound the other way and comes out negative.
    shares = volumes / largest if largest else np.ones_like(volumes)
    solid = shares >= FLOATER
    kept = faces[solid[labels]]
    kept = kept if largest >= 0 else kept[:, ::-1]
    used, renumbered = np.unique(kept, return_inverse=True)
    floaters = int(((shares > 0) & ~solid).sum())
    return vertices[used], renumbered.reshape(kept.shape).astype(np.int32), floaters
