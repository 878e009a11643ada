"""What scoring takes beside pictures: a classifier's weights, the true geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxvsnerf.data.meshes import read_surface
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import transform_points
from jaxvsnerf.metrics.geometry import EXTENT, check_geometry_extra
from jaxvsnerf.metrics.lpips import Lpips, check_sides, load_lpips
from jaxvsnerf.system.paths import find_path
from jaxvsnerf.types import Dataset, Surface


@dataclass(frozen=True)
class References:
    """What scoring takes beside pictures.

    Attributes:
      perceptual: network and weights of LPIPS, None where no file is named.
      surface: the true geometry in the object's cube, None where no file is named.
    """

    perceptual: Lpips | None
    surface: Surface | None


def read_perceptual(path: str, dataset: Dataset) -> Lpips | None:
    """Network and weights of LPIPS; None where `path` is ''.

    Raises:
      FileNotFoundError: no file there; ValueError: something else is in it, or the truth
        pictures are too small.
    """
    if not path:
        return None
    if dataset.truth is not None:
        check_sides(dataset.truth.images.shape)
    return load_lpips(find_path(path))


def read_true_surface(path: str, dataset: Dataset) -> Surface | None:
    """The true geometry, moved from the source's frame into the cube; None where `path` is ''.

    Raises:
      FileNotFoundError: no file there; ValueError: no mesh, or one that lies elsewhere;
        ImportError: what geometry is scored with is missing.
    """
    if not path:
        return None
    check_geometry_extra()
    surface = read_surface(find_path(path))
    vertices = np.asarray(transform_points(surface.vertices, dataset.to_cube), np.float64)
    if np.abs(vertices).max() > EXTENT:
        low, high = vertices.min(0).round(2), vertices.max(0).round(2)
        raise InputError(
            f"{path}: expected geometry in the frame of the cameras, within [-{EXTENT:g}, "
            f"{EXTENT:g}] around the object's cube, got {low.tolist()} to {high.tolist()} there"
        )
    return surface._replace(vertices=vertices)
