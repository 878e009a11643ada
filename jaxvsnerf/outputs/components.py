"""The connected parts of a surface: the body, floaters, walls of hollows."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def largest_part(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The connected part that encloses most volume, its vertices renumbered.

    Choice: by volume and not by area or faces, so that a ragged haze does not beat the
    body; the walls of a body's inner hollows are parts of their own and go as well. The
    part kept is therefore an outer wall: it is turned so that its volume is positive.

    Args:
      vertices: [N, 3].
      faces: [M, 3], at least one.

    Returns:
      Vertices [N', 3] and faces [M', 3] int32, counter-clockwise seen from outside; and how
      many other parts face outward, which are floaters and no walls of hollows.
    """
    edges = np.concatenate([faces[:, :2], faces[:, 1:]]).T
    graph = coo_array((np.ones(edges.shape[1], np.int8), edges), shape=(len(vertices),) * 2)
    _, of_vertices = connected_components(graph, directed=False)
    # Vertices of no face are parts too; only those of faces count.
    _, labels = np.unique(of_vertices[faces[:, 0]], return_inverse=True)
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    volumes = np.bincount(labels, np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0)
    largest = np.abs(volumes).argmax()
    kept = faces[labels == largest]
    kept = kept if volumes[largest] > 0 else kept[:, ::-1]
    used, renumbered = np.unique(kept, return_inverse=True)
    others = int((np.sign(volumes) == np.sign(volumes[largest])).sum()) - 1
    return vertices[used], renumbered.reshape(kept.shape).astype(np.int32), others
