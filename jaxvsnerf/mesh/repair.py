"""Any triangles to one closed surface: every edge between exactly two faces."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# How far vertices that lay on one another move towards their own faces' other corners.
_APART = 0.05


def close_surface(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Fills holes, after taking out what no closed surface can contain.

    Faces that repeat a corner or lie on one another go, and all faces at an edge that more
    than two share; parts that touch in a vertex alone are separated there. Each hole that
    is then left is filled by a fan around its border's mean.

    Args:
      vertices: [N, 3].
      faces: [M, 3] of consistent winding.

    Returns:
      vertices [N', 3] float32, faces [M', 3] int32, and how many holes were filled. Without
      anything to repair the faces stay as they are.
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
    """The faces without those that no closed surface can contain."""
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
    """[3 M, 2] ascending, corner 0-1 of all faces, then 1-2, then 2-0."""
    return np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)


def _separated(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A vertex of its own for each fan of faces that hang together by edges."""
    count = len(faces)
    # Corner k of face f is number k * M + f, and edge number k * M + f leaves it.
    start = np.arange(3 * count)
    end = np.roll(start.reshape(3, count), -1, axis=0).reshape(-1)
    corner = faces.T.reshape(-1)
    edges = _edges(faces)
    order = np.lexsort(edges.T)
    same = (edges[order[1:]] == edges[order[:-1]]).all(1)
    one, other = order[:-1][same], order[1:][same]
    # Two faces of one winding run along their common edge in opposite directions.
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
    # Else a reader that joins equal vertices would undo it.
    for k in range(3):
        corners = separated[touching]
        here = corners[:, k]
        towards = moved[corners].mean(1) - moved[here]
        np.add.at(moved, here, _APART * towards * shared[here, None])
    return moved, separated


def _borders(faces: np.ndarray) -> list[np.ndarray]:
    """The loops of edges that have one face only, in the direction of that face."""
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
