"""A trained field asked about points: which branch answers, and from several threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxvsnerf.geometry.cameras import camera_centers, image_rays, optical_axes, orbit_cameras
from jaxvsnerf.rendering import trained
from jaxvsnerf.rendering.sampling import UniformLevel
from jaxvsnerf.rendering.trained import TrainedField, nearest_views
from jaxvsnerf.types import Context
from tests import tiny as t

pytestmark = pytest.mark.unoptimized
CHUNK = 1024  # points of a call, at least


def make_trained(orthographic=False):
    """A field in mode nearest whose three branches have nothing in common."""
    field, focal = t.make_field(), 8.0 if orthographic else 12.0
    cameras = orbit_cameras([0, 120, 240], 30, 1.5, focal, t.SIZE, t.SIZE, orthographic)
    return TrainedField(
        field=field,
        params=field.init(jax.random.key(0), t.V),
        grid=None,
        context=Context(np.asarray(optical_axes(cameras)), camera_centers(cameras), np.int32(0)),
        cameras=cameras,
        background=np.ones(3, np.float32),
        levels=(UniformLevel(6),),
        mode="nearest",
    )


def points_on_rays(cameras, view, count=5):
    """[N, 3] points on every ray of a picture, within the cube, and [N, 3] where each looks."""
    rays = image_rays(cameras, view)
    at = np.linspace(0.9, 2.1, count, dtype=np.float32)[:, None, None, None]
    points = np.asarray(rays.origins) + at * np.asarray(rays.directions)
    directions = np.broadcast_to(rays.viewdirs, points.shape)
    return points.reshape(-1, 3), directions.reshape(-1, 3)


@pytest.fixture(autouse=True)
def small_calls(monkeypatch):
    """Queries take several calls."""
    monkeypatch.setattr(trained, "render_elements", lambda device: 1)


def test_without_directions_the_branch_of_the_nearest_camera_answers():
    field = make_trained()
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (5 * CHUNK, 3)).astype(np.float32)
    gaps = np.linalg.norm(points[:, None] - camera_centers(field.cameras), axis=-1)
    density, rgb = field.query(points)
    for view in range(t.V):
        own = gaps.argmin(1) == view
        assert own.sum() > CHUNK  # the view takes more than one call
        expected = field.branch(view).query(points[own])
        np.testing.assert_allclose(density[own], expected[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(rgb[own], expected[1], atol=1e-6)
        others = field.branch((view + 1) % t.V).query(points[own])
        assert np.abs(rgb[own] - others[1]).max() > 1e-3


@pytest.mark.parametrize("orthographic", [False, True])
def test_points_on_the_rays_of_an_input_picture_are_answered_by_its_own_branch(orthographic):
    field = make_trained(orthographic)
    for view in range(t.V):
        points, directions = points_on_rays(field.cameras, view)
        np.testing.assert_array_equal(nearest_views(field.cameras, points, directions), view)
        density, rgb = field.query(points, directions)
        expected = field.branch(view).query(points, directions)
        np.testing.assert_allclose(density, expected[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(rgb, expected[1], atol=1e-6)


def test_other_modes_answer_in_the_order_of_the_points():
    field = replace(make_trained(), mode="canonical")
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (2 * CHUNK + 7, 3)).astype(np.float32)
    density, rgb = field.query(points)
    last_density, last_rgb = field.query(points[-3:])
    np.testing.assert_allclose(density[-3:], last_density, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rgb[-3:], last_rgb, atol=1e-6)


@pytest.mark.parametrize("mode", ["nearest", "canonical"])
def test_no_points_have_no_answers(mode):
    density, rgb = replace(make_trained(), mode=mode).query(np.zeros((0, 3)))
    assert density.shape == (0,) and rgb.shape == (0, 3)


def test_threads_that_use_one_trained_field_enter_its_programs_in_turn(monkeypatch):
    field = make_trained()
    programs = [
        trained._make_renderer(field.field, field._spec),
        trained._make_query(field.field, field.mode),
    ]
    inside, most, counting = [0, 0], [0, 0], threading.Lock()

    def watched(index, function):
        def call(*args):
            with counting:
                inside[index] += 1
                most[index] = max(most[index], inside[index])
            try:
                return jax.block_until_ready(function(*args))
            finally:
                with counting:
                    inside[index] -= 1

        return call

    for index, program in enumerate(programs):
        monkeypatch.setattr(program, "_function", watched(index, program._function))
    points = np.zeros((2 * CHUNK, 3), np.float32)

    def both(_):
        return field.render(field.cameras).rgb, field.query(points)[0]

    alone = both(None)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(both, range(8)))
    assert most == [1, 1]
    for result in results:
        jax.tree.map(np.testing.assert_array_equal, result, alone)
