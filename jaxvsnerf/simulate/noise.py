"""Smooth random 3D fields, correlated between neighbouring views."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

from jaxvsnerf.geometry.cameras import HALF_EXTENT

# Variance, per axis, of independent unit-variance numbers blended by a cubic B-spline: the
# spline's autocorrelation at 0, which is the B-spline of degree 7 at its centre.
SPLINE_POWER = 151 / 315


def view_mixing(centers: np.ndarray, shared: float, angle_deg: float) -> np.ndarray:
    """Matrix that mixes V independent fields into the correlated fields of V views.

    Choice: a Gaussian process over the views. The correlation of two views is
    shared * exp(-(angle between them / angle_deg)^2 / 2), of a view with itself 1.

    Args:
      centers: [V, 3] camera centres, object at the origin.
      shared: share of the variance that nearby views have in common, 0 to 1.
      angle_deg: correlation angle in degrees, positive.

    Returns:
      [V, V] with rows of length 1.

    Raises:
      ValueError: `shared` is outside 0 to 1.
    """
    if not 0.0 <= shared <= 1.0:
        raise ValueError(f"shared: expected 0 to 1, got {shared}")
    near = np.exp(-0.5 * (view_angles_deg(centers) / angle_deg) ** 2)
    mixed = shared * near + (1.0 - shared) * np.eye(len(centers))
    # Rounding can make an eigenvalue negative. The symmetric root is the same on every machine;
    # eigenvectors are not: views evenly spaced on a circle have repeated eigenvalues.
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
    """Random numbers on a lattice over the object's cube, correlated between views.

    Args:
      rng: random generator.
      mixing: [V, V], see `view_mixing`.
      cells: lattice cells along each axis of the cube.
      channels: C, numbers per cell.

    Returns:
      [V, C, cells, cells, cells] float32 of variance 1.
    """
    numbers = rng.standard_normal((len(mixing), channels, cells, cells, cells), np.float32)
    return np.einsum("vu,ucxyz->vcxyz", mixing.astype(np.float32), numbers, optimize=True)


def sample_lattice(lattice: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Samples the smooth field of a lattice; its variance over random lattices is 1.

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
    """Smooth noise of variance 1.

    Args:
      rng: random generator.
      sigma_px: standard deviation in pixels of the Gaussian that blurs white noise, positive.
      height: of the noise, in pixels.
      width: of the noise, in pixels.
      channels: independent channels.

    Returns:
      [height, width, channels] float32.
    """
    white = rng.standard_normal((height, width, channels), np.float32)
    impulse = np.zeros(2 * int(np.ceil(5.0 * sigma_px)) + 1)
    impulse[len(impulse) // 2] = 1.0
    # Filtering independent numbers scales their variance by the sum of squared taps, per axis.
    power = np.sum(gaussian_filter1d(impulse, sigma_px) ** 2)
    return gaussian_filter(white, (sigma_px, sigma_px, 0.0), mode="wrap") / power
