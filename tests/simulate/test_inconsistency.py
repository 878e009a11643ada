"""simulate/inconsistency.py, damage.py, severity.py and noise.py: simulated inconsistency."""

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from jaxvsnerf.geometry.cameras import camera_centers, image_rays
from jaxvsnerf.geometry.hull import facing_plane, hull_points
from jaxvsnerf.simulate.inconsistency import damage_rise, damage_views, simulate
from jaxvsnerf.simulate.noise import pixel_noise, sample_lattice, view_lattices, view_mixing
from jaxvsnerf.simulate.severity import SEVERITIES, Severity
from jaxvsnerf.simulate.toy import toy_dataset

COMPONENTS = [f.name for f in dataclasses.fields(Severity) if f.name != "shared"]
# All that moves contents; the others leave masks alone.
BENDS = ("depth", "shape", "slide", "detail", "pose_deg")


@pytest.fixture(scope="module")
def views():
    return toy_dataset(size=48, num_views=16, severity="clean").inputs


def _alone(name, severity="severe"):
    return Severity(**{name: getattr(SEVERITIES[severity], name)})


def _psnr(a, b):
    return -10 * np.log10(np.mean((a - b) ** 2, axis=(1, 2, 3)))


def test_fields_of_neighbours_share_what_they_should(views):
    centers = camera_centers(views.cameras)
    mixing = view_mixing(centers, 0.5, 40.0)
    correlation = mixing @ mixing.T
    np.testing.assert_allclose(np.diag(correlation), 1.0, atol=1e-6)
    # Azimuths 22.5 degrees apart at elevation 30: cos of the angle between the views is
    # sin^2(30) + cos^2(30) cos(22.5), an angle of 19.45 degrees.
    np.testing.assert_allclose(correlation[0, 1], 0.5 * np.exp(-0.5 * (19.45 / 40) ** 2), atol=0.01)
    assert abs(correlation[0, 8]) < 0.02
    np.testing.assert_allclose(view_mixing(centers, 0.0, 40.0), np.eye(16), atol=1e-6)
    lattices = view_lattices(np.random.default_rng(0), mixing, 24, 1).reshape(16, -1)
    np.testing.assert_allclose(np.corrcoef(lattices), correlation, atol=0.03)


def test_smooth_fields_have_variance_one_anywhere_in_the_cube():
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (200, 3))
    values = [sample_lattice(rng.standard_normal((1, 5, 5, 5)), points) for _ in range(300)]
    # The spline's power at a place depends a little on where between knots it lies.
    assert 0.9 < np.var(values) < 1.1
    noise = pixel_noise(rng, 1.5, 256, 256, 2)
    np.testing.assert_allclose(noise.var((0, 1)), 1.0, atol=0.1)


def test_rays_meet_the_hull_at_the_object_and_the_plane_elsewhere(views):
    points = hull_points(views.cameras, views.masks)
    solid = views.masks > 0.9
    # All but a few at thin edges, which the hull's cells miss.
    assert np.mean(np.abs(points[solid]).max(-1) < 0.5) > 0.99
    assert np.abs(points[solid]).max() < 0.55
    for view in (0, 5):
        rays, plane = image_rays(views.cameras, view), np.asarray(facing_plane(views.cameras, view))
        axis = np.asarray(views.cameras.w2c)[view, 2, :3]
        np.testing.assert_allclose(plane @ axis, 0.0, atol=1e-6)
        free = views.masks[view] == 0
        np.testing.assert_allclose(points[view][free], plane[free], atol=1e-6)
        # Both lie on the pixels' rays.
        for place in (plane, points[view]):
            off = np.cross(place - rays.origins, rays.directions)
            assert np.abs(off).max() < 1e-4
    # Seen from the front, the front of the hull: nearer to the camera than the plane.
    assert (points[0] @ np.asarray(views.cameras.w2c)[0, 2, :3])[solid[0]].mean() < -0.05


def test_clean_changes_nothing(views):
    same = simulate(views, SEVERITIES["clean"], 0)
    np.testing.assert_array_equal(same.views.images, views.images)
    assert not same.flow.any() and not same.error.any()


def test_the_same_seed_gives_the_same_damage_and_another_seed_another(views):
    first, again = (damage_views(views, "medium", 3) for _ in range(2))
    other = damage_views(views, "medium", 4)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert np.abs(first.images[1:] - other.images[1:]).mean((1, 2, 3)).min() > 1e-3


@pytest.mark.parametrize("name", COMPONENTS)
def test_each_component_alone_does_its_part_and_no_other(views, name):
    damaged = simulate(views, _alone(name), 0)
    assert damaged.error[8].max() > 1 / 255
    assert (np.abs(damaged.flow).max() > 0) == (name in BENDS)
    moved = np.abs(damaged.views.masks - views.masks).mean()
    # Contents that slide stand still at the silhouette.
    assert (moved > 1e-3) == (name in ("depth", "shape", "pose_deg")), moved
    assert name in BENDS or moved < 1e-7


def test_components_do_not_change_each_others_draw(views):
    light = simulate(views, _alone("light"), 0)
    both = simulate(views, dataclasses.replace(_alone("light"), shape=1e-9), 0)
    np.testing.assert_allclose(light.views.images, both.views.images, atol=1e-4)


def test_the_flow_says_where_contents_came_from(views):
    bent = simulate(views, _alone("shape"), 0)
    for view in (4, 8):
        y, x = np.mgrid[:48, :48] + np.moveaxis(bent.flow[view], -1, 0)[::-1]
        expected = map_coordinates(views.masks[view], [y, x], order=3, mode="nearest")
        # Outlines that move by a pixel are twice as steep as interpolation leaves them.
        steep = 1 + np.linalg.norm(bent.flow[view], axis=-1).clip(0, 1)
        expected = (0.5 + steep * (expected - 0.5)).clip(0, 1)
        np.testing.assert_allclose(bent.views.masks[view], expected, atol=1e-5)


def test_the_error_is_what_the_pictures_differ_by(views):
    damaged = simulate(views, SEVERITIES["medium"], 0)
    mse = np.mean((damaged.views.images - views.images) ** 2, -1)
    np.testing.assert_allclose(damaged.error**2, mse, atol=1e-6)


def test_the_background_stays_clean(views):
    damaged = damage_views(views, "severe", 0)
    np.testing.assert_allclose(damaged.images[damaged.masks == 0], 1.0, atol=1e-6)
    assert damaged.images.dtype == np.float32 and damaged.masks.dtype == np.float32
    assert damaged.images.min() >= 0 and damaged.images.max() <= 1 + 1e-6
    assert damaged.masks.min() >= 0 and damaged.masks.max() <= 1
    # Another background shows through in the same places.
    green = np.array([0.1, 0.8, 0.3], np.float32)
    behind = (1 - views.masks[..., None]) * (green - 1)
    other = damage_views(views.replace(images=views.images + behind, background=green), "severe", 0)
    behind = (1 - damaged.masks[..., None]) * (green - 1)
    np.testing.assert_allclose(other.images, damaged.images + behind, atol=2e-3)


def test_the_mask_moves_with_the_picture(views):
    damaged = damage_views(views, "severe", 1)
    coloured = np.abs(damaged.images - 1).max(-1) > 0.15
    assert (damaged.masks[coloured] > 0.1).all()
    assert np.abs(damaged.masks - views.masks)[1:].mean((1, 2)).min() > 0


@pytest.mark.slow
def test_damage_grows_with_the_angle_and_with_the_severity(views):
    scores = {
        name: np.mean(
            [_psnr(damage_views(views, name, s).images, views.images) for s in range(4)], axis=0
        )
        for name in ("mild", "medium", "severe")
    }
    medium = scores["medium"]
    # The real strip `chicken` falls by 6.5 dB from the input view to those behind; the toy is
    # checkered.
    assert medium[0] > medium[[1, 15]].mean() > medium[7:10].mean()
    assert 5 < medium[0] - medium[7:10].mean() < 9
    # Half and twice the damage: 6 dB, less what is clipped and what adds in other ways.
    assert (scores["mild"] > medium + 3).all() and (medium > scores["severe"] + 3).all()
    rise = damage_rise(camera_centers(views.cameras))
    assert rise[0] == 0 and np.all(np.diff(rise[:9]) > 0) and rise.max() < 1
    np.testing.assert_allclose(rise[1:8], rise[:8:-1], rtol=1e-4)


def test_bad_input_is_refused(views):
    with pytest.raises(ValueError, match="severity must be one of clean, mild, medium, severe"):
        damage_views(views, "wild", 0)
    with pytest.raises(ValueError, match="needs masks"):
        damage_views(views.replace(masks=None), "mild", 0)
    with pytest.raises(ValueError, match="severity.blur: expected a number of at least 0"):
        Severity(blur=-1.0)
    with pytest.raises(ValueError, match="severity.shared: expected 0 to 1, got 1.5"):
        Severity(shared=1.5)
    with pytest.raises(ValueError, match="severity.light"):
        Severity(light=float("nan"))
