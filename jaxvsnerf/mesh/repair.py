"""Repairs triangles into a closed surface, in which every edge joins exactly two faces."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Share of the way to the centre of their own faces that split vertices move.
_APART = 0.05


def close_surface(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Removes non-manifold faces and fills holes.

    Removes faces that repeat a corner, duplicate faces, and all faces at an edge of more than two
    faces. Splits vertices in which parts touch without sharing an edge. Fills each remaining hole
    by a triangle fan around the mean of its border.

    Args:
      vertices: [N, 3].
      faces: [M, 3] of consistent winding.

    Returns:
      Vertices [N', 3] float32, faces [M', 3] int32, and the number of holes that were filled. The
      faces of a closed surface are returned unchanged.
    """
    vertices, faces = np.asarray(vertices, np.float32), np.asarray(faces, np.int64)
    faces = _sound(faces)
    vertices, faces = _separated(vertices, faces)
    loops = _borders(faces)
    centers = [vertices[loop].mean(0) for loop in loops]
    fans = [
        np.stack([np.roll(loop, -1), loop, np.full(len(loop), len(vertices) + i)], -1)
        for i, loop in enumerate(loops)
    ]
    vertices = np.concatenate([vertices, np.reshape(centers, (-1, 3)).astype(np.float32)])
    return vertices, np.concatenate([faces, *fans]).astype(np.int32), len(loops)


def _sound(faces: np.ndarray) -> np.ndarray:
    """Drops degenerate and duplicate faces, and faces at an edge of more than two faces."""
    ordered = np.sort(faces, axis=1)
    distinct = (ordered[:, 0] != ordered[:, 1]) & (ordered[:, 1] != ordered[:, 2])
    _, which, count = np.unique(ordered, axis=0, return_inverse=True, return_counts=True)
    faces = faces[distinct & (count[which.reshape(-1)] == 1)]
    while len(faces):
        _, which, count = np.unique(_edges(faces), axis=0, return_inverse=True, return_counts=True)
        crowded = (count[which.reshape(-1)] > 2).reshape(3, -1).any(0)
        if not crowded.any():
            break
        faces = faces[~crowded]
    return faces


def _edges(faces: np.ndarray) -> np.ndarray:
    """[3 M, 2] edges as ascending vertex pairs: corners 0-1 of all faces, then 1-2, then 2-0."""
    return np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)


def _separated(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Splits vertices so that each fan of edge-connected faces has its own vertex."""
    count = len(faces)
    # Corner k of face f has number k * M + f; the edge that starts there has the same number.
    start = np.arange(3 * count)
    end = np.roll(start.reshape(3, count), -1, axis=0).reshape(-1)
    corner = faces.T.reshape(-1)
    edges = _edges(faces)
    order = np.lexsort(edges.T)
    same = (edges[order[1:]] == edges[order[:-1]]).all(1)
    one, other = order[:-1][same], order[1:][same]
    # Two faces of consistent winding traverse their common edge in opposite directions.
    opposite = corner[start[one]] == corner[end[other]]
    far = np.where(opposite, end[other], start[other]), np.where(opposite, start[other], end[other])
    links = np.concatenate([start[one], end[one]]), np.concatenate(far)
    graph = coo_array((np.ones(len(links[0]), np.int8), links), shape=(3 * count,) * 2)
    _, labels = connected_components(graph, directed=False)
    used, first = np.unique(labels, return_index=True)
    separated = labels.reshape(3, count).T
    if len(used) == len(np.unique(corner)) == len(vertices):
        return vertices, faces
    source = corner[first]
    moved = vertices[source].copy()
    shared = np.bincount(source, minlength=len(vertices))[source] > 1
    touching = shared[separated].any(1)
    # Move split vertices apart: a reader that merges equal vertices would undo the split.
    for k in range(3):
        corners = separated[touching]
        here = corners[:, k]
        towards = moved[corners].mean(1) - moved[here]
        np.add.at(moved, here, _APART * towards * shared[here, None])
    return moved, separated


def _borders(faces: np.ndarray) -> list[np.ndarray]:
    """Border loops: edges of only one face, in the direction of that face."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, which, count = np.unique(
        np.sort(directed, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    following = dict(directed[count[which.reshape(-1)] == 1].tolist())
    loops = []
    while following:
        start, after = following.popitem()
        loop = [start]
        while after != start:
            loop.append(after)
            after = following.pop(after)
        loops.append(np.array(loop))
    return loops
