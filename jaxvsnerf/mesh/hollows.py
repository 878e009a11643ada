"""Finds hollows inside a body that no camera looks into."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.ndimage import binary_dilation, label

# An empty lattice point lies in a hollow if the body blocks at least this many of the 26 directions
# to its neighbours. In a wide cup a third of the directions are free, in a slit eight.
BLOCKED = 24
# Share of a hollow's points seen by cameras above which the hollow belongs to the object's shape.
SEEN = 0.2
# Largest number of points per hollow whose visibility is tested.
_POINTS = 256
# Choice: samples along a line of sight are half a cell apart, whatever the lattice. Successive
# samples then lie in adjacent cells, so that no line skips a wall of one cell.
_STEP = 0.5


def hidden_hollows(
    solid: np.ndarray, corner: np.ndarray, spacing: float, viewpoints: np.ndarray
) -> np.ndarray:
    """Finds empty lattice points deep inside a body that no camera sees.

    Choice: the inside of a body gets no light in training, so a field leaves hollows there, and
    pinholes and pits connect the hollows to the outside. With hollows filled, the surface is only
    the outer wall, and faces and texture go to visible parts. Points free in three or more
    directions (in a cup, a handle, a fold) are kept, as are tubes into which cameras look.

    Args:
      solid: [X, Y, Z] bool on a lattice; everything outside the lattice is empty.
      corner: [3] position of the first lattice point.
      spacing: distance between neighbouring lattice points.
      viewpoints: [V, 3] camera centres.

    Returns:
      [X, Y, Z] bool, points to fill; none of them is solid.
    """
    # Every second point resolves hollows well enough and takes an eighth of the time.
    coarse = _halved(solid)
    hollow = ~coarse & (_directions_blocked(coarse) >= BLOCKED)
    parts, count = label(hollow)
    eyes = (np.asarray(viewpoints) - corner) / (2.0 * spacing) - 0.25
    points = np.argwhere(hollow)
    part_of = parts[hollow]
    for part in range(1, count + 1):
        if _seen_share(points[part_of == part], coarse, eyes) > SEEN:
            hollow[parts == part] = False
    # Adjacent blocks that are partly solid.
    hollow |= binary_dilation(hollow, np.ones((3, 3, 3))) & coarse
    fine = hollow.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return fine[tuple(slice(side) for side in solid.shape)] & ~solid


def _halved(solid: np.ndarray) -> np.ndarray:
    """Halves the lattice, rounding up: whether any of the eight points of a block is solid."""
    even = np.pad(solid, [(0, side % 2) for side in solid.shape])
    x, y, z = (side // 2 for side in even.shape)
    return even.reshape(x, 2, y, 2, z, 2).any((1, 3, 5))


def _directions_blocked(solid: np.ndarray) -> np.ndarray:
    """[X, Y, Z] number of the 26 directions in which a ray from a point meets a solid point."""
    blocked = np.zeros(solid.shape, np.int8)
    for direction in itertools.product((-1, 0, 1), repeat=3):
        if any(direction):
            blocked += _blocked(solid, direction)
    return blocked


def _blocked(solid: np.ndarray, direction: tuple[int, int, int]) -> np.ndarray:
    """[X, Y, Z] whether a ray in `direction` meets a solid point.

    Works layer by layer along the first axis of nonzero direction.
    """
    along = next(axis for axis in range(3) if direction[axis])
    layers = np.moveaxis(solid, along, 0)[:: -direction[along]]
    shifts = [direction[axis] for axis in range(3) if axis != along]
    met = np.zeros(layers.shape, bool)
    for i in range(1, len(layers)):
        met[i] = _shifted(layers[i - 1] | met[i - 1], shifts)
    return np.moveaxis(met[:: -direction[along]], 0, along)


def _shifted(layer: np.ndarray, shifts: list[int]) -> np.ndarray:
    """Shifts a layer: result[j, k] = layer[j + shifts[0], k + shifts[1]], False outside."""
    padded = np.pad(layer, 1)
    rows, columns = (slice(1 + s, 1 + s + n) for s, n in zip(shifts, layer.shape, strict=True))
    return padded[rows, columns]


def _seen_share(points: np.ndarray, solid: np.ndarray, eyes: np.ndarray) -> float:
    """Share of points [N, 3] that at least one eye [V, 3] sees; positions in lattice units."""
    chosen = points[np.linspace(0, len(points) - 1, min(len(points), _POINTS)).astype(int)]
    # A ray leaves the lattice within its diagonal.
    steps = np.arange(0.0, np.linalg.norm(solid.shape), _STEP)
    seen = np.zeros(len(chosen), bool)
    for eye in eyes:
        towards = eye - chosen
        towards = towards / np.linalg.norm(towards, axis=-1, keepdims=True)
        cells = np.rint(chosen[:, None] + steps[:, None] * towards[:, None]).astype(int)
        inside = ((cells >= 0) & (cells < solid.shape)).all(-1)
        cells = np.where(inside[..., None], cells, 0)
        seen |= ~(solid[tuple(np.moveaxis(cells, -1, 0))] & inside).any(1)
    return float(seen.mean())
