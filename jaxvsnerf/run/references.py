"""Loads the references of scoring: the weights of LPIPS and the true geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxvsnerf.data.meshes import read_surface
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import transform_points
from jaxvsnerf.metrics.geometry import EXTENT, check_geometry_extra
from jaxvsnerf.metrics.lpips import Lpips, check_sides, load_lpips
from jaxvsnerf.system.paths import find_path
from jaxvsnerf.types import Dataset, Similarity, Surface


@dataclass(frozen=True)
class References:
    """References of scoring beside pictures.

    Attributes:
      perceptual: network and weights of LPIPS, None if no file is named.
      surface: the true geometry in the object's cube, None if no file is named.
    """

    perceptual: Lpips | None
    surface: Surface | None


def read_perceptual(path: str, dataset: Dataset) -> Lpips | None:
    """Loads network and weights of LPIPS; None if `path` is ''.

    Raises:
      MissingFile: the file does not exist.
      InputError: the file holds other data, or the truth pictures are too small.
    """
    if not path:
        return None
    if dataset.truth is not None:
        check_sides(dataset.truth.images.shape)
    return load_lpips(find_path(path))


def read_true_surface(path: str, to_cube: Similarity) -> Surface | None:
    """Loads the true geometry and moves it into the cube by `to_cube`; None if `path` is ''.

    Raises:
      MissingFile: the file does not exist.
      InputError: the file holds no mesh, or the mesh lies outside the cube.
      MissingExtra: the packages for scoring geometry are missing.
    """
    if not path:
        return None
    check_geometry_extra()
    surface = read_surface(find_path(path))
    vertices = np.asarray(transform_points(surface.vertices, to_cube), np.float64)
    if np.abs(vertices).max() > EXTENT:
        low, high = vertices.min(0).round(2), vertices.max(0).round(2)
        raise InputError(
            f"{path}: expected geometry in the frame of the cameras, within [-{EXTENT:g}, "
            f"{EXTENT:g}] around the object's cube, got {low.tolist()} to {high.tolist()} there"
        )
    return surface._replace(vertices=vertices)
