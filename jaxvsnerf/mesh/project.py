"""Projects the colours of pictures onto a surface."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.ndimage import minimum_filter

from jaxvsnerf.geometry.cameras import camera_centers
from jaxvsnerf.mesh.bake import PaintFn
from jaxvsnerf.mesh.extract import Mesh
from jaxvsnerf.mesh.raster import Fragments, rasterize
from jaxvsnerf.types import Cameras

# Points per block, whose lookups fit a core's cache.
_BLOCK = 16384
# Cosine between viewing direction and normal below which a picture does not count.
_GRAZING = 0.15
# Weight of the vertex colours, relative to a picture that looks along the normal.
_OWN_WEIGHT = 0.02
# Side in pixels of the window whose smallest depth is a pixel's depth.
_NEIGHBOURHOOD = 3


class Pictures(NamedTuple):
    """V pictures of one size.

    Attributes:
      rgb: [V, H, W, 3] in [0, 1].
      acc: [V, H, W] opacity in [0, 1].
      cameras: V cameras of H x W pixels.
    """

    rgb: np.ndarray
    acc: np.ndarray
    cameras: Cameras


def paint_from_pictures(
    mesh: Mesh, pictures: Sequence[Pictures], background: np.ndarray
) -> PaintFn:
    """Returns a function that colours points of a mesh from renderings of the field.

    Choice: renderings, not the field's colours at the surface points: a density is a slope, not a
    wall, so light stops before and behind the extracted surface, and the colour at one depth is
    not the visible colour. A point's colour is the mean over the pictures that see the point,
    weighted by the cosine between viewing direction and normal, without the background's share.
    Points that no picture sees keep the vertex colours.

    Args:
      mesh: with vertex colours, in the cameras' frame.
      pictures: sets of pictures; the sets may differ in size.
      background: [3] in [0, 1].

    Returns:
      Function from N points on the mesh to [N, 3] colours in [0, 1].
    """
    views = [
        _View.of(mesh, rgb[view], acc[view], cameras, view, np.asarray(background, np.float32))
        for rgb, acc, cameras in pictures
        for view in range(len(rgb))
    ]

    def paint(at: Fragments) -> np.ndarray:
        blocks = [
            Fragments(*(array[start : start + _BLOCK] for array in at))
            for start in range(0, len(at.faces), _BLOCK)
        ]
        with ThreadPoolExecutor() as pool:
            colors = list(pool.map(partial(_mean_color, mesh, views), blocks))
        return np.concatenate([np.zeros((0, 3), np.float32), *colors])

    return paint


def interpolate(values: np.ndarray, mesh: Mesh, at: Fragments) -> np.ndarray:
    """Interpolates vertex values at points on faces, by barycentric weights.

    Args:
      values: [V, C] values of the mesh's V vertices.
      mesh: the mesh.
      at: N points on faces.

    Returns:
      [N, C] float32.
    """
    weights = at.weights.astype(np.float32)
    corners = mesh.faces[at.faces]
    return sum(weights[:, k, None] * values[corners[:, k]] for k in range(3))


class _View(NamedTuple):
    """One picture and its camera.

    Attributes:
      picture: [H, W, 4] colour times opacity, without the background's share, and opacity.
      depth: [H, W] depth of the mesh, see `_depth`.
      intrinsics: [3, 3] K, see `Cameras`; K[2, 2] is 0 for parallel rays, otherwise 1.
      w2c: [3, 4] world-to-camera, OpenCV axes.
      center: [3] camera centre.
    """

    picture: np.ndarray
    depth: np.ndarray
    intrinsics: np.ndarray
    w2c: np.ndarray
    center: np.ndarray

    @classmethod
    def of(cls, mesh, rgb, acc, cameras: Cameras, view: int, background: np.ndarray) -> _View:
        acc = np.asarray(acc, np.float32)[..., None]
        own = rgb - (1.0 - acc) * background
        k, w2c = (np.asarray(a[view], np.float32) for a in (cameras.intrinsics, cameras.w2c))
        center = camera_centers(cameras)[view].astype(np.float32)
        empty = cls(np.concatenate([own, acc], -1).astype(np.float32), acc, k, w2c, center)
        return empty._replace(depth=_depth(empty, mesh))

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels [N, 2], depth [N] along the optical axis, and width [N] of a pixel there."""
        k, camera = self.intrinsics, points @ self.w2c[:, :3].T + self.w2c[:, 3]
        divisor = np.maximum(k[2, 2] * camera[:, 2] + (1.0 - k[2, 2]), 1e-6)
        pixels = camera[:, :2] @ k[:2, :2].T / divisor[:, None] + k[:2, 2]
        return pixels, camera[:, 2], divisor / k[0, 0]

    def looks(self, points: np.ndarray) -> np.ndarray:
        """[N, 3] vectors from points to the camera; for parallel rays, one common direction."""
        parallel = np.float32(1.0) - self.intrinsics[2, 2]
        return (1.0 - parallel) * (self.center - points) - parallel * self.w2c[2, :3]


def _depth(view: _View, mesh: Mesh) -> np.ndarray:
    """[H, W] smallest depth of the mesh around each pixel, inf if there is none."""
    height, width = view.picture.shape[:2]
    pixels, depth, _ = view.project(mesh.vertices)
    seen = rasterize(pixels[mesh.faces], height, width)
    nearest = np.full(height * width, np.inf, np.float32)
    np.minimum.at(nearest, seen.pixels, interpolate(depth[:, None], mesh, seen)[:, 0])
    return minimum_filter(nearest.reshape(height, width), _NEIGHBOURHOOD)


def _mean_color(mesh: Mesh, views: Sequence[_View], at: Fragments) -> np.ndarray:
    """[N, 3] weighted mean of the pictures' colours at points on the mesh."""
    points = interpolate(mesh.vertices, mesh, at)
    normals = interpolate(mesh.normals, mesh, at)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
    total = _OWN_WEIGHT * interpolate(mesh.colors, mesh, at)
    weight = np.full(len(points), _OWN_WEIGHT, np.float32)
    for view in views:
        index, seen = _seen(view, points, normals)
        total[index] += seen[:, :3]
        weight[index] += seen[:, 3]
    return np.clip(total / weight[:, None], 0.0, 1.0)


def _seen(view: _View, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the M points that a picture sees, and [M, 4] weighted colours and weights."""
    looks = view.looks(points)
    cosine = np.einsum("ij,ij->i", looks, normals) / np.linalg.norm(looks, axis=-1)
    index = np.flatnonzero(cosine > _GRAZING)
    cosine = np.minimum(cosine[index], 1.0)
    pixels, depth, pixel = view.project(points[index])
    height, width = view.depth.shape
    x, y = pixels.astype(np.int64).T
    inside = (pixels.min(-1) >= 0) & (x < width) & (y < height)
    nearest = view.depth[np.where(inside, y, 0), np.where(inside, x, 0)]
    # Depth difference, in pixel widths, across the window on a tilted surface.
    reach = 0.5 * (_NEIGHBOURHOOD + 1) * np.sqrt(1.0 - cosine**2) / cosine
    chosen = inside & (depth < nearest + pixel * (1.0 + reach))
    return index[chosen], cosine[chosen, None] * _bilinear(view.picture, pixels[chosen])


def _bilinear(picture: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """[N, C] values of a picture [H, W, C] at `pixels` [N, 2], by bilinear interpolation."""
    height, width = picture.shape[:2]
    x = np.clip(pixels[:, 0] - 0.5, 0, width - 1)
    y = np.clip(pixels[:, 1] - 0.5, 0, height - 1)
    left, top = (np.minimum(a.astype(np.int64), n - 2) for a, n in ((x, width), (y, height)))
    right, down = (x - left)[:, None], (y - top)[:, None]
    flat, at = picture.reshape(height * width, -1), top * width + left
    upper = flat[at] + right * (flat[at + 1] - flat[at])
    lower = flat[at + width] + right * (flat[at + width + 1] - flat[at + width])
    return upper + down * (lower - upper)
