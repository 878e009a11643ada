"""simulate/toy.py: the procedural scene."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import camera_centers, orbit_cameras
from jaxvsnerf.geometry.hull import dilate_masks, grid_centers, visual_hull
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.simulate import toy_object
from jaxvsnerf.simulate.toy import ToySpec, render_toy, toy_dataset

toy_sdf, toy_color, toy_albedo, toy_normal = map(
    jax.jit,
    (toy_object.toy_sdf, toy_object.toy_color, toy_object.toy_albedo, toy_object.toy_normal),
)


@pytest.fixture(scope="module")
def clean():
    return toy_dataset(size=48, num_views=16, severity="clean")


def _inside():
    points = np.asarray(jax.random.uniform(jax.random.key(0), (40000, 3), minval=-0.6, maxval=0.6))
    return points[np.asarray(toy_sdf(points)) < 0]


def test_the_toy_fits_the_cube_and_fills_it():
    inside = _inside()
    assert np.abs(inside).max() < 0.5
    assert (inside.max(0) - inside.min(0)).max() > 0.85


def test_the_distance_never_promises_more_than_there_is():
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (200000, 3)).astype(np.float32)
    distance = np.asarray(toy_sdf(points))
    surface, far = points[np.abs(distance) < 0.004], points[distance > 0.05]
    true = cKDTree(surface).query(far)[0]
    # The surface is known to 0.004, sampled 0.02 apart; tracing takes 0.8 of the distance.
    assert (np.asarray(toy_sdf(far)) / true).max() < 1.0 / 0.8


def test_colours_and_normals_are_in_range_everywhere():
    points = np.random.default_rng(1).uniform(-0.6, 0.6, (2000, 3)).astype(np.float32)
    for color in (toy_color(points), toy_albedo(points)):
        assert np.isfinite(color).all() and color.min() >= 0 and color.max() <= 1
    assert np.isfinite(toy_normal(points)).all()


def test_the_toy_looks_different_from_the_left_and_the_right(clean):
    images = clean.inputs.images
    # Face azimuth is 25: views 4 and 14 (90 and 315 = -45) see it from about -+ 65 degrees.
    assert np.abs(images[4] - images[14][:, ::-1]).mean() > 0.02


def test_pictures_are_composited_on_the_asked_background():
    cameras = orbit_cameras([10.0], 30.0, 1.5, 26.0, 32, 24)
    white, mask = render_toy(cameras)
    blue, same = render_toy(cameras, np.array([0.0, 0.0, 1.0]))
    assert white.shape == (1, 24, 32, 3) and mask.shape == (1, 24, 32)
    np.testing.assert_array_equal(mask, same)
    # Both share rgb * mask, so their difference is (1 - mask) (white - blue).
    expected = (1 - np.asarray(mask))[..., None] * np.array([1.0, 1.0, 0.0])
    np.testing.assert_allclose(white - blue, expected, atol=1e-5)


def test_masks_agree_with_the_distance_through_the_hull(clean):
    views = clean.inputs
    points = grid_centers(40, 0.5)
    # Half a pixel of the rim is below 0.5 opacity, and thin parts may be: grow by one pixel.
    hull = np.asarray(visual_hull(points, views.cameras, dilate_masks(views.masks, 1)))
    inside = np.asarray(toy_sdf(points)) < 0
    assert hull[inside].all()
    # And the masks carve: most of the cube is outside.
    assert hull.mean() < 0.4
    distance = np.asarray(toy_sdf(points))
    tight = np.asarray(visual_hull(points, views.cameras, views.masks))
    assert (tight & (distance > 0.02)).sum() < inside.sum()


def test_the_handle_has_a_hole(clean):
    # Behind the body, inside the ring, the distance is positive while the ring is not.
    zoom, up = toy_object.ZOOM, toy_object.RAISE
    angle = np.deg2rad(toy_object.FACE_DEG)
    back = -np.array([np.cos(angle), np.sin(angle), 0.0])
    centre = zoom * (0.33 * back + np.array([0, 0, -0.07])) + up
    ring = zoom * (0.41 * back + np.array([0, 0, -0.07])) + up
    assert toy_sdf(jnp.asarray(centre)) > 0.02 and toy_sdf(jnp.asarray(ring)) < 0


def test_truth_is_held_out(clean):
    truth = np.asarray(camera_centers(clean.truth.cameras))
    inputs = np.asarray(camera_centers(clean.inputs.cameras))
    gaps = np.linalg.norm(truth[:, None] - inputs[None], axis=-1)
    assert truth.shape == (8, 3) and gaps.min() > 0.2


def test_clean_severity_changes_nothing(clean):
    np.testing.assert_array_equal(clean.inputs.images, clean.clean)


def test_the_toy_loads_by_spec_at_chosen_views():
    whole = toy_dataset(16, 16, "medium", seed=5)
    data = load_dataset(DataSpec(kind="toy", views=(0, 4, 8, 12)), ToySpec(size=16, seed=5))
    np.testing.assert_array_equal(data.inputs.images, whole.inputs.images[[0, 4, 8, 12]])
    np.testing.assert_array_equal(data.clean, whole.clean[[0, 4, 8, 12]])
    assert data.inputs.names == ("000", "004", "008", "012")
    assert data.inputs.cameras.w2c.shape == (4, 3, 4) and len(data.truth.images) == 8


def test_the_toy_without_masks_has_none():
    data = load_dataset(DataSpec(kind="toy", mask="none"), ToySpec(size=16))
    assert data.inputs.masks is None and data.truth.masks is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"severity": "wild"}, "data.severity: expected one of clean, mild, medium, severe"),
        ({"size": 4}, "data.size: expected a whole number of 8 to 4096 pixels, got 4"),
        ({"num_views": 0}, "data.num_views: expected a whole number of 1"),
    ],
)
def test_a_toy_out_of_range_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        ToySpec(**wrong)
