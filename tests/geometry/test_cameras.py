"""geometry/: cameras against published numbers, closed forms and round trips."""

import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.serialize_executable import serialize

from jaxvsnerf.geometry.cameras import (
    camera_centers,
    cube_interval,
    fit_cameras,
    inverse_similarity,
    join_cameras,
    magnification,
    optical_axes,
    orbit_cameras,
    pixel_rays,
    project,
    take,
    transform_cameras,
    transform_points,
)
from jaxvsnerf.geometry.hull import dilate_masks, grid_centers, visual_hull
from jaxvsnerf.types import Similarity
from tests.compiled import image_rays

pytestmark = pytest.mark.unoptimized
needs_data = pytest.mark.skipif(
    "JAXVSNERF_DATA" not in os.environ, reason="JAXVSNERF_DATA is not set"
)


def _rig(width=64, height=64, views=16):
    azimuth = [360.0 / views * k for k in range(views)]
    return orbit_cameras(azimuth, 30.0, 1.5, 280.0 * height / 256, width, height)


def _turn(axis, angle):
    """Rodrigues' rotation about a unit axis, float64."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@needs_data
def test_orbit_matches_syncdreamers_published_matrices():
    numbers = json.loads(
        (Path(os.environ["JAXVSNERF_DATA"]) / "cameras" / "syncdreamer16.json").read_text()
    )
    cameras = orbit_cameras([22.5 * k for k in range(16)], 30.0, 1.5, 280.0, 256, 256)
    np.testing.assert_allclose(cameras.w2c, numbers["w2c"], atol=1e-6)
    np.testing.assert_allclose(cameras.intrinsics[0], numbers["K"], atol=1e-6)


def test_orbit_centres_follow_azimuth_and_elevation():
    cameras = orbit_cameras([0.0, 90.0], [0.0, 90.0], 2.0, 50.0, 8, 8)
    # Azimuth 0 in the horizon is on +x; elevation 90 is straight above.
    np.testing.assert_allclose(camera_centers(cameras), [[2, 0, 0], [0, 0, 2]], atol=1e-6)
    np.testing.assert_allclose(optical_axes(cameras), [[-1, 0, 0], [0, 0, -1]], atol=1e-6)


def test_z_up_is_up_in_the_picture_and_azimuth_turns_counter_clockwise():
    cameras = orbit_cameras([0.0], 0.0, 2.0, 100.0, 64, 64)
    # At depth 2, 0.1 is 0.1 * 100 / 2 = 5 px; y points down; +y is to the right from +x.
    pixels, depth = project(
        cameras.intrinsics[0], cameras.w2c[0], jnp.array([[0, 0, 0.1], [0, 0.1, 0.0]])
    )
    np.testing.assert_allclose(pixels, [[32, 27], [37, 32]], atol=1e-4)
    np.testing.assert_allclose(depth, [2, 2], atol=1e-6)


@pytest.mark.parametrize("parallel", [False, True])
def test_rays_pass_through_the_points_they_were_projected_from(parallel):
    cameras = _parallel() if parallel else _rig(96, 64)
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (16, 50, 3)).astype(np.float32)
    for view in range(16):
        pixels, depth = project(cameras.intrinsics[view], cameras.w2c[view], points[view])
        rays = pixel_rays(cameras, jnp.full(50, view), pixels)
        # Directions advance by 1 in depth, so t is the depth.
        reached = rays.origins + depth[:, None] * rays.directions
        np.testing.assert_allclose(reached, points[view], atol=2e-5)
        assert np.all(rays.near[:, 0] <= depth) and np.all(depth <= rays.far[:, 0])


def test_image_rays_go_through_pixel_centres():
    cameras = _rig(6, 4)
    rays = image_rays(cameras, 3)
    pixels, _ = project(cameras.intrinsics[3], cameras.w2c[3], rays.origins + 1.2 * rays.directions)
    assert rays.origins.shape == (4, 6, 3)
    np.testing.assert_allclose(pixels[2, 5], [5.5, 2.5], atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(rays.viewdirs, axis=-1), 1.0, atol=1e-6)


def test_rays_of_a_picture_are_bit_equal_to_those_through_a_grid_of_pixels_made_beforehand():
    cameras = _rig(517, 383)
    x, y = np.meshgrid(np.arange(517) + 0.5, np.arange(383) + 0.5)
    pixels = np.stack([x, y], -1).astype(np.float32)
    expected = pixel_rays(cameras, np.full((383, 517), 5, np.int32), pixels)
    rays = image_rays(cameras, 5)
    for name in ("origins", "directions", "viewdirs", "radii", "near", "far", "view_index"):
        np.testing.assert_array_equal(getattr(rays, name), getattr(expected, name))


def test_no_pixel_grid_is_stored_in_the_program_of_a_large_picture():
    cameras = _rig(2048, 2048, 2)
    program = jax.jit(lambda k, view: image_rays(cameras.replace(intrinsics=k), view).directions)
    lowered = program.lower(cameras.intrinsics, 1)
    # A grid of 2048 x 2048 x 2 float32 is 33 MB, 67 MB as text; the whole program is a few kB.
    assert len(lowered.as_text()) < 1e5
    # XLA, too, could replace the computation of the grid by its result.
    assert len(serialize(lowered.compile())[0]) < 1e6


def test_no_lattice_of_cells_is_stored_in_a_program():
    program = jax.jit(lambda scale: scale * grid_centers(64, 0.6)).lower(1.0)
    # 64^3 x 3 float32 are 3.1 MB, 6.3 MB as text.
    assert len(program.as_text()) < 1e5 and len(serialize(program.compile())[0]) < 1e6


def test_pictures_of_another_size_show_the_same_and_keep_square_pixels():
    for cameras in (_rig(96, 64), _parallel()):
        points = np.random.default_rng(3).uniform(-0.4, 0.4, (20, 3)).astype(np.float32)
        fitted = fit_cameras(cameras, 48, 48)
        # 96 x 64 fits halved into 48 x 48: 48 x 32, with 8 rows more above and below.
        before, _ = project(cameras.intrinsics[7], cameras.w2c[7], points)
        after, _ = project(fitted.intrinsics[7], fitted.w2c[7], points)
        np.testing.assert_allclose(after, before / 2 + np.array([0.0, 8.0]), atol=1e-4)
        assert (fitted.width, fitted.height) == (48, 48)
        same = fit_cameras(cameras, 96, 64)
        np.testing.assert_array_equal(same.intrinsics, cameras.intrinsics)


def test_joined_cameras_have_pictures_of_one_size():
    large = _rig(256, 256)
    joined = join_cameras(_rig(64, 64), large)
    # A quarter of the side has a quarter of K: the first set's own, since both rigs are alike.
    np.testing.assert_allclose(joined.intrinsics[16:], joined.intrinsics[:16], rtol=1e-6)
    np.testing.assert_array_equal(joined.w2c[16:], large.w2c)
    assert (joined.width, joined.height) == (64, 64)


def test_cube_interval_of_a_hit_and_of_a_miss():
    origins = jnp.array([[-2.0, 0, 0], [-2.0, 3.0, 0], [0.0, 0, 0]])
    directions = jnp.array([[2.0, 0, 0], [2.0, 0, 0], [0, 0, 1.0]])
    near, far = cube_interval(origins, directions, 0.5)
    # Hit: x = -2 + 2 t is -0.5 at t = 0.75 and 0.5 at 1.25; from inside near is 0.
    np.testing.assert_allclose(near[jnp.array([0, 2]), 0], [0.75, 0.0], atol=1e-6)
    np.testing.assert_allclose(far[jnp.array([0, 2]), 0], [1.25, 0.5], atol=1e-6)
    assert 0 < far[1, 0] - near[1, 0] < 1e-5


def _parallel(width=96, height=64, views=16):
    azimuth = [360.0 / views * k for k in range(views)]
    return orbit_cameras(azimuth, 30.0, 2.0, float(height), width, height, orthographic=True)


def test_an_orthographic_camera_sees_lengths_alike_at_every_depth():
    camera = orbit_cameras([0.0], 0.0, 2.0, 50.0, 64, 64, orthographic=True)
    points = jnp.array([[0.5, 0.2, 0.1], [-0.5, 0.2, 0.1]])
    pixels, depth = project(camera.intrinsics[0], camera.w2c[0], points)
    # 50 px a unit: +y is right, +z is up; depth is 2 - x.
    np.testing.assert_allclose(pixels, [[42, 27], [42, 27]], atol=1e-4)
    np.testing.assert_allclose(depth, [1.5, 2.5], atol=1e-6)


def test_orthographic_rays_are_parallel_to_the_optical_axis():
    cameras = _parallel()
    for view in range(16):
        rays = pixel_rays(cameras, jnp.full(2, view), jnp.array([[0.5, 0.5], [90.0, 12.0]]))
        axis = np.broadcast_to(optical_axes(cameras)[view], (2, 3))
        np.testing.assert_allclose(rays.directions, axis, atol=1e-6)
        np.testing.assert_allclose(rays.viewdirs, axis, atol=1e-6)


def test_magnification_is_what_projection_does_to_a_small_step():
    step = 1e-2
    for cameras in (_rig(96, 64), _parallel()):
        for view in (0, 5):
            right = np.asarray(cameras.w2c)[view, 0, :3] * step
            ends = jnp.array([[0.0, 0.0, 0.0], right])
            pixels, depth = project(cameras.intrinsics[view], cameras.w2c[view], ends)
            expected = magnification(cameras, np.full(16, float(depth[0])))[view, 0]
            np.testing.assert_allclose((pixels[1, 0] - pixels[0, 0]) / step, expected, rtol=1e-3)


def test_an_orthographic_camera_in_a_set_leaves_the_others_alone():
    both = [_rig(96, 64), _parallel()]
    mixed = both[0].replace(
        intrinsics=np.concatenate([c.intrinsics[:1] for c in both]),
        w2c=np.concatenate([c.w2c[:1] for c in both]),
    )
    for view, cameras in enumerate(both):
        alone, within = image_rays(cameras, 0), image_rays(mixed, view)
        np.testing.assert_array_equal(alone.origins, within.origins)
        np.testing.assert_array_equal(alone.directions, within.directions)


@pytest.mark.parametrize("make", [_rig, _parallel])
def test_a_similarity_leaves_projections_unchanged(make):
    cameras = make(96, 64)
    turn = _turn(np.array([2.0, -1.0, 2.0]) / 3.0, 0.8)
    similarity = Similarity(np.float32(3.7), turn, np.array([5.0, -2.0, 1.0]))
    points = np.random.default_rng(1).uniform(-0.4, 0.4, (40, 3)).astype(np.float32)
    moved_cameras = transform_cameras(cameras, similarity)
    moved_points = transform_points(points, similarity)
    for view in range(16):
        before, depth = project(cameras.intrinsics[view], cameras.w2c[view], points)
        after, far_depth = project(
            moved_cameras.intrinsics[view], moved_cameras.w2c[view], moved_points
        )
        np.testing.assert_allclose(after, before, atol=5e-3)
        np.testing.assert_allclose(far_depth, 3.7 * depth, rtol=1e-5)


def test_the_inverse_similarity_undoes_it():
    turn = _turn(np.array([0.6, 0.0, 0.8]), -1.3)
    similarity = Similarity(np.float32(0.4), turn, np.array([0.1, -0.2, 0.3]))
    points = np.random.default_rng(2).uniform(-1, 1, (20, 3)).astype(np.float32)
    back = transform_points(transform_points(points, similarity), inverse_similarity(similarity))
    np.testing.assert_allclose(back, points, atol=1e-5)


def test_take_keeps_order():
    cameras = _rig()
    np.testing.assert_array_equal(take(cameras, [5, 2]).w2c, cameras.w2c[[5, 2]])


def _sphere_masks(cameras, radius):
    """Exact silhouettes of a centred sphere: rays that pass the centre within radius."""
    masks = []
    for view in range(len(cameras.w2c)):
        rays = image_rays(cameras, view)
        along = jnp.sum(rays.origins * rays.viewdirs, -1, keepdims=True)
        masks.append(jnp.linalg.norm(rays.origins - along * rays.viewdirs, axis=-1) < radius)
    return np.stack(masks).astype(np.float32)


def test_hull_of_a_sphere_contains_it_and_little_more():
    cameras = _rig(128, 128)
    points = grid_centers(48, 0.5)
    distance = np.linalg.norm(points, axis=-1)
    hull = np.asarray(visual_hull(points, cameras, _sphere_masks(cameras, 0.3)))
    # A pixel is 1.5 / 140 = 0.011 wide at the centre: the silhouette is exact to half of it.
    assert hull[distance < 0.3 - 0.011].all()
    # The hull keeps a tip under the sphere, where the lower tangents of the views meet the
    # axis: from (1.299, 0.75) downwards at 30 + asin(0.3 / 1.5) = 41.54 degrees they reach
    # z = 0.75 - 1.299 tan(41.54 deg) = -0.401; above, 18.46 degrees give 0.316.
    assert not hull[distance > 0.401 + 0.02].any()
    reached = np.asarray(points)[hull][:, 2]
    np.testing.assert_allclose([reached.min(), reached.max()], [-0.401, 0.316], atol=0.025)


def test_hull_tolerates_as_many_wrong_masks_as_asked():
    cameras = _rig(32, 32)
    masks = _sphere_masks(cameras, 0.3)
    masks[3] = 0.0
    points = jnp.zeros((1, 3))
    assert not visual_hull(points, cameras, masks).any()
    assert visual_hull(points, cameras, masks, num_outside=1).all()


def test_extending_pictures_bounds_the_hull():
    cameras = _rig(32, 32)
    masks = _sphere_masks(cameras, 0.3)
    outside_all = jnp.array([[0.0, 0.0, 40.0]])
    below = jnp.array([[0.0, 0.0, -1.5]])
    # (0, 0, -1.5) projects below every picture: not carved, unless pictures continue.
    assert visual_hull(below, cameras, masks).all()
    assert not visual_hull(below, cameras, masks, extend=True).any()
    assert visual_hull(outside_all, cameras, masks).all()


def test_dilation_grows_by_a_square():
    masks = np.zeros((1, 7, 7), np.float32)
    masks[0, 3, 3] = 0.7
    grown = dilate_masks(masks, 2)
    expected = np.zeros((7, 7), np.float32)
    expected[1:6, 1:6] = 0.7
    np.testing.assert_array_equal(grown[0], expected)
    np.testing.assert_array_equal(dilate_masks(masks, 0), masks)
