"""Scores a surface against the true surface, by SyncDreamer's protocol."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import image_rays
from jaxvsnerf.system.extras import require
from jaxvsnerf.types import Cameras, Surface

PIP_LINE = "pip install 'jaxvsnerf[geometry]'"
VOXEL = 0.01  # side of the cells in which visible points are merged
RESOLUTION = 64
EXTENT = 1.0  # volumes are compared in [-1, 1]^3


def check_geometry_extra() -> None:
    """Checks that the packages of these scores are installed.

    Raises:
      MissingExtra: a package is missing; the message holds the pip line.
    """
    for module in ("trimesh", "embreex", "igl"):
        require(module, "scores of the geometry", PIP_LINE)


def chamfer_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Chamfer distance: mean of the two mean distances to the nearest point of the other set.

    Args:
      first: [N, 3] points, at least one.
      second: [M, 3] points, at least one.

    Returns:
      The distance, not squared, in the points' unit.
    """
    there, _ = cKDTree(second).query(first)
    back, _ = cKDTree(first).query(second)
    return float(0.5 * (there.mean() + back.mean()))


def visible_hits(surface: Surface, cameras: Cameras) -> tuple[np.ndarray, np.ndarray]:
    """Points that the cameras see, the first hits of all pixels' rays, and the normals there.

    Args:
      surface: in the cameras' frame.
      cameras: pinhole cameras.

    Returns:
      [N, 3] points and [N, 3] unit normals of the triangles, towards the camera.

    Raises:
      InputError: no ray meets the surface.
      MissingExtra: trimesh or embreex is missing.
    """
    trimesh = require("trimesh", "scores of the geometry", PIP_LINE)
    require("embreex", "scores of the geometry", PIP_LINE)
    mesh = trimesh.Trimesh(*surface, process=False)
    found, normals = [], []
    for view in range(len(cameras.w2c)):
        rays = image_rays(cameras, view)
        origins = np.asarray(rays.origins, np.float64).reshape(-1, 3)
        directions = np.asarray(rays.viewdirs, np.float64).reshape(-1, 3)
        hits, ray, face = mesh.ray.intersects_location(origins, directions, multiple_hits=False)
        found.append(hits)
        normal = mesh.face_normals[face]
        away = np.sum(normal * directions[ray], -1, keepdims=True) > 0
        normals.append(np.where(away, -normal, normal))
    points = np.concatenate(found)
    if not len(points):
        raise InputError("no ray meets the surface; is it in the cameras' frame?")
    return points, np.concatenate(normals)


def visible_points(surface: Surface, cameras: Cameras) -> np.ndarray:
    """The points of `visible_hits`, [N, 3]: the mean of the hits in each cell of side VOXEL."""
    return _thinned(visible_hits(surface, cameras)[0])


def normal_error(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]
) -> float:
    """Median angle in degrees between the normals of points and of their nearest other points.

    Args:
      first: [N, 3] points and their unit normals.
      second: [M, 3] true points and their unit normals.
    """
    _, nearest = cKDTree(second[0]).query(first[0])
    cosine = np.sum(first[1] * second[1][nearest], -1)
    return float(np.median(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0)))))


def _thinned(points: np.ndarray) -> np.ndarray:
    """[N, 3] mean of the points in each occupied cell of side VOXEL."""
    cells = np.floor(points / VOXEL).astype(np.int64)
    _, where, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(where.reshape(-1), axis) for axis in points.T], -1)
    return sums / count[:, None]


def volume_iou(first: Surface, second: Surface) -> float:
    """Intersection over union of two volumes, at the centres of 64^3 cells of [-1, 1]^3.

    Choice: a point is inside if the surface's winding number exceeds 1/2, so that small holes do
    no harm.

    Returns:
      0 to 1; 0 if both are empty.
    """
    igl = require("igl", "scores of the geometry", PIP_LINE)
    axis = (np.arange(RESOLUTION) + 0.5) * (2 * EXTENT / RESOLUTION) - EXTENT
    centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)

    def inside(surface: Surface) -> np.ndarray:
        vertices, faces = np.asarray(surface[0], np.float64), np.asarray(surface[1], np.int64)
        return igl.fast_winding_number(vertices, faces, centres) > 0.5

    one, other = inside(first), inside(second)
    return float(np.sum(one & other) / max(np.sum(one | other), 1))


def score_geometry(surface: Surface, truth: Surface, cameras: Cameras) -> dict[str, float]:
    """Scores a surface by Chamfer distance and normals of the visible points, and volume IoU.

    Args:
      surface: surface to score, in the cameras' frame, within [-1, 1]^3.
      truth: true surface, in the same frame and range.
      cameras: cameras that choose the visible points; SyncDreamer's protocol uses its 16 views
        at 256x256.

    Returns:
      {"chamfer", "iou", "normal_deg"}.

    Raises:
      MissingExtra: an optional package is missing.
      InputError: no camera sees one of the surfaces.

    Source: SyncDreamer (arXiv:2309.03453), `eval_mesh.py`.
    """
    seen, true = visible_hits(surface, cameras), visible_hits(truth, cameras)
    return {
        "chamfer": chamfer_distance(_thinned(seen[0]), _thinned(true[0])),
        "iou": volume_iou(surface, truth),
        "normal_deg": normal_error(seen, true),
    }
