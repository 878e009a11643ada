"""Draws cameras round the object's cube as lines, in SVG or in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import product
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from jaxvsnerf.geometry.cameras import camera_centers
from jaxvsnerf.types import Cameras

SIZE = 420
# Azimuth and elevation of the viewpoint of a drawing, in degrees.
ABOVE = (0.0, 90.0)
ASKEW = (-60.0, 22.0)
# Length of a camera's pyramid as a share of the drawn radius, and the margin factor.
_PYRAMID, _MARGIN = 0.16, 1.12
_COLORS = {"cube": "#7d8590", "camera": "#2f81d7", "first": "#e0662b", "x": "#cf3a3a"}
_COLORS |= {"y": "#1f9d72", "z": "#2f81d7"}


class Line(NamedTuple):
    """A polyline in 3D.

    Attributes:
      points: [N, 3].
      kind: 'cube', 'camera', 'first', 'x', 'y' or 'z'.
      label: text at the last point, or ''.
    """

    points: np.ndarray
    kind: str
    label: str = ""


def camera_lines(cameras: Cameras, names: Sequence[str], hull: np.ndarray | None) -> list[Line]:
    """Lines of the cube, the hull's bounding box, the axes, and a pyramid per camera.

    Args:
      cameras: V cameras in the object's cube; orthographic cameras are drawn as boxes.
      names: V names of the cameras.
      hull: [2, 3] corners of the hull's bounding box, or None.

    Returns:
      The lines.
    """
    lines = [*_box(np.array([[-0.5] * 3, [0.5] * 3]), "cube")]
    if hull is not None:
        lines += _box(np.asarray(hull), "first")
    lines += [
        Line(np.array([np.zeros(3), 0.75 * axis]), n, n)
        for axis, n in zip(np.eye(3), "xyz", strict=True)
    ]
    centers = camera_centers(cameras)
    length = _PYRAMID * max(float(np.linalg.norm(centers, axis=-1).max()), 0.75)
    for view, name in enumerate(names):
        lines += _pyramid(cameras, view, length, name)
    return lines


def _box(corners: np.ndarray, kind: str) -> list[Line]:
    points = {key: corners[key, range(3)] for key in product((0, 1), repeat=3)}
    pairs = [
        (a, b) for a in points for b in points if a < b and np.abs(np.subtract(a, b)).sum() == 1
    ]
    return [Line(np.array([points[a], points[b]]), kind) for a, b in pairs]


def _pyramid(cameras: Cameras, view: int, length: float, name: str) -> list[Line]:
    """Edges of a camera's view frustum up to depth `length`, and its name at its centre."""
    k, w2c = np.asarray(cameras.intrinsics)[view], np.asarray(cameras.w2c, np.float64)[view]
    frame = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * [cameras.width, cameras.height]
    slopes = (frame - k[:2, 2]) / k[[0, 1], [0, 1]]
    parallel = k[2, 2] == 0
    near = np.pad(slopes * parallel, ((0, 0), (0, 1)))
    far = np.pad(slopes * (1.0 if parallel else length), ((0, 0), (0, 1)), constant_values=length)
    if not parallel:
        far[:, 2] = length

    def world(points: np.ndarray) -> np.ndarray:
        return (points - w2c[:, 3]) @ w2c[:, :3]

    near, far, center = world(near), world(far), world(np.zeros((1, 3)))
    kind = "first" if view == 0 else "camera"
    edges = [Line(np.array([a, b]), kind) for a, b in zip(near, far, strict=True)]
    rim = Line(np.concatenate([far, far[:1]]), kind)
    return [*edges, rim, Line(np.concatenate([center, center]), kind, name)]


def flatten(lines: Sequence[Line], looked_from: tuple[float, float]) -> list[np.ndarray]:
    """Projects lines orthographically into a square of SIZE pixels.

    Args:
      lines: L lines.
      looked_from: (azimuth, elevation) of the viewpoint in degrees.

    Returns:
      L arrays [N, 2] of points (x, y) in pixels.
    """
    azimuth, elevation = np.deg2rad(looked_from)
    ca, sa, ce, se = np.cos(azimuth), np.sin(azimuth), np.cos(elevation), np.sin(elevation)
    axes = np.array([[-sa, ca, 0.0], [se * ca, se * sa, -ce]])
    flat = [line.points @ axes.T for line in lines]
    radius = _MARGIN * max(float(np.abs(np.concatenate(flat)).max()), 1e-6)
    return [SIZE / 2 * (1.0 + one / radius) for one in flat]


def cameras_svg(lines: Sequence[Line], looked_from: tuple[float, float], title: str) -> str:
    """Draws lines as an <svg> element with colours legible on white and black.

    Args:
      lines: lines to draw.
      looked_from: (azimuth, elevation) of the viewpoint in degrees.
      title: accessible label; the title and all labels are escaped.
    """
    parts = []
    for line, points in zip(lines, flatten(lines, looked_from), strict=True):
        color = _COLORS[line.kind]
        if len(points) > 1 and np.ptp(points, axis=0).max() > 0:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{color}"/>')
        if line.label:
            x, y = points[-1]
            parts.append(
                f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-size="11" '
                f'text-anchor="middle" dy="-4">{escape(line.label)}</text>'
            )
    return (
        f'<svg class="cameras" viewBox="0 0 {SIZE} {SIZE}" role="img" aria-label="{escape(title)}" '
        f'stroke-width="1.2" font-family="sans-serif">{"".join(parts)}</svg>'
    )


def cameras_picture(lines: Sequence[Line], looked_from: tuple[float, float]) -> np.ndarray:
    """Draws lines into a picture [SIZE, SIZE, 3] float32 in [0, 1], on white."""
    image = Image.new("RGB", (SIZE, SIZE), "white")
    draw = ImageDraw.Draw(image)
    for line, points in zip(lines, flatten(lines, looked_from), strict=True):
        draw.line([tuple(map(float, point)) for point in points], fill=_COLORS[line.kind])
        if line.label:
            x, y = map(float, points[-1])
            draw.text((x - 3 * len(line.label), y - 13), line.label, fill=_COLORS[line.kind])
    return np.asarray(image, np.float32) / np.float32(255.0)
