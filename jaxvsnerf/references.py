"""What scoring takes beside pictures: a classifier's weights, the true geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxvsnerf.data.load import find_path
from jaxvsnerf.data.meshes import read_surface
from jaxvsnerf.geometry.cameras import transform_points
from jaxvsnerf.metrics.geometry import check_geometry_extra
from jaxvsnerf.metrics.lpips import Lpips, check_sides, load_lpips
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


def read_references(lpips: str, mesh: str, dataset: Dataset) -> References:
    """Reads the files that scoring takes.

    Args:
      lpips: weights of LPIPS, see `load_lpips`, or ''.
      mesh: the true geometry in the source's frame, or ''.
      dataset: the run's pictures.

    Raises:
      FileNotFoundError: no file there; ValueError: something else is in it, or the pictures
        are too small for LPIPS; ImportError: what geometry is scored with is missing.
    """
    perceptual = surface = None
    if lpips:
        if dataset.truth is not None:
            check_sides(dataset.truth.images.shape)
        perceptual = load_lpips(find_path(lpips))
    if mesh:
        check_geometry_extra()
        surface = read_surface(find_path(mesh))
        moved = transform_points(surface.vertices, dataset.to_cube)
        surface = surface._replace(vertices=np.asarray(moved, np.float64))
    return References(perceptual, surface)
