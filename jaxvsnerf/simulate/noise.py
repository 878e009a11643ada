"""Smooth random fields in space that neighbouring views share in part."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import HALF_EXTENT

# The mean square along an axis of independent numbers blended by a cubic B-spline: the
# spline's autocorrelation at 0, that is the spline of degree 7 at its centre.
SPLINE_POWER = 151 / 315


def view_mixing(centers: np.ndarray, shared: float, angle_deg: float) -> np.ndarray:
    """How the fields of V views are mixed from V independent ones.

    Choice: a Gaussian process over the views. The correlation of two views is
    shared * exp(-(angle between them / angle_deg)^2 / 2), of a view with itself 1.

    Args:
      centers: [V, 3] camera centres, object at the origin.
      shared: share of the power that views nearby have in common, 0 to 1.
      angle_deg: how near.

    Returns:
      [V, V] symmetric, its rows of length 1.

    Raises:
      ValueError: a share outside 0 to 1.
    """
    if not 0.0 <= shared <= 1.0:
        raise InputError(f"shared: expected 0 to 1, got {shared}")
    near = np.exp(-0.5 * (view_angles_deg(centers) / angle_deg) ** 2)
    mixed = shared * near + (1.0 - shared) * np.eye(len(centers))
    # Great-circle distances can make it singular by a rounding. The symmetric root is the same
    # on every machine, unlike the eigenvectors of views that stand evenly in a circle.
    values, vectors = np.linalg.eigh(mixed)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root / np.linalg.norm(root, axis=1, keepdims=True)


def view_angles_deg(centers: np.ndarray) -> np.ndarray:
    """[V, V] angles between the directions to the camera centres [V, 3], in degrees."""
    unit = centers / np.linalg.norm(centers, axis=-1, keepdims=True)
    return np.rad2deg(np.arccos(np.clip(unit @ unit.T, -1.0, 1.0)))


def view_lattices(
    rng: np.random.Generator, mixing: np.ndarray, cells: int, channels: int
) -> np.ndarray:
    """Random numbers on a lattice over the object's cube, mixed over the views.

    Args:
      rng: source of randomness.
      mixing: [V, V], see `view_mixing`.
      cells: along each axis of the cube.
      channels: C.

    Returns:
      [V, C, cells, cells, cells] float32 of variance 1.
    """
    numbers = rng.standard_normal((len(mixing), channels, cells, cells, cells), np.float32)
    return np.einsum("vu,ucxyz->vcxyz", mixing.astype(np.float32), numbers, optimize=True)


def sample_lattice(lattice: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The smooth field of a lattice, of variance 1 over all random lattices.

    Args:
      lattice: [C, cells, cells, cells].
      points: [..., 3]; outside the cube the field is mirrored.

    Returns:
      [..., C] float32.
    """
    places = (np.moveaxis(points, -1, 0) / (2.0 * HALF_EXTENT) + 0.5) * lattice.shape[1] - 0.5
    values = [
        map_coordinates(channel, places, order=3, mode="mirror", prefilter=False)
        for channel in lattice
    ]
    return np.stack(values, -1) / SPLINE_POWER**1.5


def pixel_noise(
    rng: np.random.Generator, sigma_px: float, height: int, width: int, channels: int
) -> np.ndarray:
    """[height, width, channels] smooth noise of variance 1; features span some `sigma_px`."""
    white = rng.standard_normal((height, width, channels), np.float32)
    impulse = np.zeros(2 * int(np.ceil(5.0 * sigma_px)) + 1)
    impulse[len(impulse) // 2] = 1.0
    # Of independent numbers a window leaves the sum of its squares as variance, on each axis.
    power = np.sum(gaussian_filter1d(impulse, sigma_px) ** 2)
    return gaussian_filter(white, (sigma_px, sigma_px, 0.0), mode="wrap") / power
