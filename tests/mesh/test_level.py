"""The automatic level: between the haze and the body, whatever the lattice."""

import numpy as np
import pytest

from jaxvsnerf.mesh.extract import extract_mesh
from jaxvsnerf.mesh.lattice import mesh_points
from jaxvsnerf.mesh.level import auto_level


def hazy_ball(resolution):
    """Density 300 within a radius of 0.3, a haze of 8 out to 0.45."""
    radius = np.linalg.norm(mesh_points(resolution, 0.5), axis=-1)
    return 300.0 / (1 + np.exp((radius - 0.3) * 100)) + 8.0 * (radius < 0.45)


def test_the_level_lies_between_the_haze_and_the_body():
    assert 8.0 < auto_level(hazy_ball(48)) < 150.0


def test_the_surface_is_the_bodys_and_not_the_hazes():
    mesh = extract_mesh(hazy_ball(48), half_extent=0.5).mesh
    radius = np.linalg.norm(mesh.vertices, axis=-1)
    # The slope is 1/100 wide on either side of 0.3 and a cell is 1/47.
    assert 0.28 < radius.min() and radius.max() < 0.33


def test_the_level_hardly_depends_on_the_resolution():
    levels = [auto_level(hazy_ball(resolution)) for resolution in (32, 48, 80)]
    assert max(levels) < 2.0 * min(levels)


@pytest.mark.parametrize("highest", [1e-3, 1.0, 12.0, 1e4])
def test_a_field_of_any_density_has_a_level_below_its_maximum(highest):
    density = np.linspace(0.0, highest, 1000).reshape(10, 10, 10)
    assert 0.0 < auto_level(density) < highest


def test_a_field_without_density_has_none():
    with pytest.raises(ValueError, match="0 everywhere"):
        auto_level(np.zeros((4, 4, 4)))
