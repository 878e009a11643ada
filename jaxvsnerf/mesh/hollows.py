"""Hollows that no picture looks into."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.ndimage import binary_dilation, label

# Of the 26 directions to a lattice point's neighbours, those in which the body stands before it
# if it lies in a hollow. In a wide cup a third of them are free, in a slit eight.
BLOCKED = 24
# Share of a hollow's points that cameras see above which it is part of the object's shape.
SEEN = 0.2
_POINTS, _STEPS = 256, 128


def hidden_hollows(
    solid: np.ndarray, corner: np.ndarray, spacing: float, viewpoints: np.ndarray
) -> np.ndarray:
    """The empty lattice points deep inside a body, unless cameras look at them.

    Choice: what is inside a body gets no light in training, so a field leaves hollows there,
    and pinholes and pits join them to the outside. Filled, the surface is the outer wall
    alone, and faces and texture go where something is seen. What is free in three
    directions or more (a cup, a handle, a fold) stays, and so does a tube into which cameras
    look.

    Args:
      solid: [X, Y, Z] bool on a lattice; outside it nothing is.
      corner: [3] its first point.
      spacing: between its points.
      viewpoints: [V, 3] camera centres.

    Returns:
      [X, Y, Z] bool, none of them solid.
    """
    # Every second point is fine enough for hollows, and eight times as fast.
    coarse = _halved(solid)
    hollow = ~coarse & (_directions_blocked(coarse) >= BLOCKED)
    parts, count = label(hollow)
    eyes = (np.asarray(viewpoints) - corner) / (2.0 * spacing) - 0.25
    points = np.argwhere(hollow)
    part_of = parts[hollow]
    for part in range(1, count + 1):
        if _seen_share(points[part_of == part], coarse, eyes) > SEEN:
            hollow[parts == part] = False
    # Blocks beside them that are solid in part.
    hollow |= binary_dilation(hollow, np.ones((3, 3, 3))) & coarse
    fine = hollow.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return fine[tuple(slice(side) for side in solid.shape)] & ~solid


def _halved(solid: np.ndarray) -> np.ndarray:
    """Half as many points a side, rounded up: whether any of the eight of a block is solid."""
    even = np.pad(solid, [(0, side % 2) for side in solid.shape])
    x, y, z = (side // 2 for side in even.shape)
    return even.reshape(x, 2, y, 2, z, 2).any((1, 3, 5))


def _directions_blocked(solid: np.ndarray) -> np.ndarray:
    """[X, Y, Z] in how many of 26 directions a ray from a point meets something solid."""
    blocked = np.zeros(solid.shape, np.int8)
    for direction in itertools.product((-1, 0, 1), repeat=3):
        if any(direction):
            blocked += _blocked(solid, direction)
    return blocked


def _blocked(solid: np.ndarray, direction: tuple[int, int, int]) -> np.ndarray:
    """Whether a ray meets something solid, layer by layer along the first axis it moves in."""
    along = next(axis for axis in range(3) if direction[axis])
    layers = np.moveaxis(solid, along, 0)[:: -direction[along]]
    shifts = [direction[axis] for axis in range(3) if axis != along]
    met = np.zeros(layers.shape, bool)
    for i in range(1, len(layers)):
        met[i] = _shifted(layers[i - 1] | met[i - 1], shifts)
    return np.moveaxis(met[:: -direction[along]], 0, along)


def _shifted(layer: np.ndarray, shifts: list[int]) -> np.ndarray:
    """result[j, k] = layer[j + shifts[0], k + shifts[1]], False beyond the border."""
    padded = np.pad(layer, 1)
    rows, columns = (slice(1 + s, 1 + s + n) for s, n in zip(shifts, layer.shape, strict=True))
    return padded[rows, columns]


def _seen_share(points: np.ndarray, solid: np.ndarray, eyes: np.ndarray) -> float:
    """The share of points that at least one eye sees past what is solid, in lattice units."""
    chosen = points[np.linspace(0, len(points) - 1, min(len(points), _POINTS)).astype(int)]
    # A ray leaves the lattice within its diagonal.
    steps = np.linspace(0.0, np.linalg.norm(solid.shape), _STEPS)
    seen = np.zeros(len(chosen), bool)
    for eye in eyes:
        towards = eye - chosen
        towards = towards / np.linalg.norm(towards, axis=-1, keepdims=True)
        cells = np.rint(chosen[:, None] + steps[:, None] * towards[:, None]).astype(int)
        inside = ((cells >= 0) & (cells < solid.shape)).all(-1)
        cells = np.where(inside[..., None], cells, 0)
        seen |= ~(solid[tuple(np.moveaxis(cells, -1, 0))] & inside).any(1)
    return float(seen.mean())
