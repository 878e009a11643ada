"""Draws an exported file without code of this package: trimesh reads it, Embree traces the rays.

There is no lighting: a pixel has the colours of the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from jaxvsnerf.types import Cameras

# Maps the axes of each file format to the world (z up), as importers do.
_WORLD = {".glb": ((1, 0, 0), (0, 0, -1), (0, 1, 0)), ".obj": ((1, 0, 0), (0, 0, -1), (0, 1, 0))}


def read_asset(path: Path) -> trimesh.Trimesh:
    """Reads a .glb, .obj or .ply with its texture or colours, rotated to z up."""
    mesh = trimesh.load(path, force="mesh", process=False)
    turn = np.eye(4)
    turn[:3, :3] = _WORLD.get(path.suffix, np.eye(3))
    mesh.apply_transform(turn)
    return mesh


def picture(
    mesh: trimesh.Trimesh, cameras: Cameras, view: int, background: np.ndarray, side: int = 4
) -> np.ndarray:
    """Draws the picture of a camera, [height, width, 3] in [0, 1].

    Args:
      mesh: the mesh, in the cameras' frame.
      cameras: pinhole cameras.
      view: index of the camera.
      background: [3].
      side: a pixel is the mean of side^2 rays.
    """
    height, width = cameras.height, cameras.width
    origins, directions = _rays(cameras, view, side)
    faces, rays, places = mesh.ray.intersects_id(
        origins, directions, multiple_hits=False, return_locations=True
    )
    colors = np.broadcast_to(np.asarray(background, np.float64), origins.shape).copy()
    colors[rays] = colors_at(mesh, faces, places)
    return colors.reshape(height, side, width, side, 3).mean((1, 3))


def _rays(cameras: Cameras, view: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Ray origins and directions, [N, 3] each, row by row of the finer picture."""
    k, w2c = (np.asarray(a, np.float64)[view] for a in (cameras.intrinsics, cameras.w2c))
    x = (np.arange(cameras.width * side) + 0.5) / side
    y = (np.arange(cameras.height * side) + 0.5) / side
    pixels = np.stack([*np.meshgrid(x, y), np.ones((len(y), len(x)))], -1).reshape(-1, 3)
    directions = pixels @ np.linalg.inv(k).T @ w2c[:, :3]
    center = -w2c[:, :3].T @ w2c[:, 3]
    return np.broadcast_to(center, directions.shape), directions


def colors_at(mesh: trimesh.Trimesh, faces: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Looks up the colours at points on faces.

    Args:
      mesh: a mesh with a texture or vertex colours.
      faces: [N] face indices.
      places: [N, 3] points on these faces.

    Returns:
      [N, 3] in [0, 1].
    """
    corners = mesh.faces[faces]
    weights = trimesh.triangles.points_to_barycentric(mesh.vertices[corners], places)
    if mesh.visual.kind != "texture":
        vertex = np.asarray(mesh.visual.vertex_colors, np.float64)[:, :3] / 255
        return np.einsum("nk,nkc->nc", weights, vertex[corners])
    uv = np.einsum("nk,nkc->nc", weights, np.asarray(mesh.visual.uv)[corners])
    material = mesh.visual.material
    image = getattr(material, "baseColorTexture", None) or material.image
    return _bilinear(np.asarray(image.convert("RGB"), np.float64) / 255, uv)


def _bilinear(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Samples [N, 3] colours at texture coordinates; (0, 0) is the lower left, as in trimesh."""
    height, width = image.shape[:2]
    x = np.clip(uv[:, 0] * width - 0.5, 0, width - 1)
    y = np.clip((1 - uv[:, 1]) * height - 0.5, 0, height - 1)
    left, top = (np.minimum(np.floor(a).astype(int), n - 2) for a, n in ((x, width), (y, height)))
    right, down = (x - left)[:, None], (y - top)[:, None]
    upper = image[top, left] * (1 - right) + image[top, left + 1] * right
    lower = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down
