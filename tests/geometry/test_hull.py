"""geometry/hull.py: where rays meet the hull, and those that pass beside it."""

import numpy as np
import pytest

from jaxvsnerf.geometry.cameras import HALF_EXTENT, image_rays, orbit_cameras
from jaxvsnerf.geometry.hull import facing_plane, first_hits, hull_points

FULL = np.ones((16,) * 3, bool)


def cube_chords(cameras, view):
    """[H, W] length of each ray within the sampled cube in float64, negative for a miss."""
    rays = image_rays(cameras, view)
    origins, directions = np.float64(rays.origins), np.float64(rays.directions)
    with np.errstate(divide="ignore"):
        ends = (np.array([-1.0, 1.0])[:, None, None, None] * HALF_EXTENT - origins) / directions
    return ends.max(0).min(-1) - np.maximum(ends.min(0).max(-1), 0.0)


@pytest.mark.parametrize("orthographic", [False, True])
def test_rays_that_miss_a_full_cube_hit_nothing_and_the_others_its_faces(orthographic):
    # 40 pixels see 40 / 22 * 1.5 = 2.7 at the origin in perspective and 40 / 15 = 2.7 in parallel,
    # of which the cube, 1.2 a side, covers less than half the height.
    focal = 15.0 if orthographic else 22.0
    cameras = orbit_cameras([20.0, 100.0], [10.0, 40.0], 1.5, focal, 40, 40, orthographic)
    for view in range(2):
        points, hit = map(np.asarray, first_hits(FULL, cameras, view))
        chords = cube_chords(cameras, view)
        assert 0.1 < (chords > 0).mean() < 0.6
        clear = np.abs(chords) > 1e-3  # whether a grazing ray hits is a matter of rounding
        np.testing.assert_array_equal(hit[clear], chords[clear] > 0)
        # The first place is half of one of 32 steps behind the face.
        depth = HALF_EXTENT - np.abs(points[hit]).max(-1)
        assert depth.min() > -1e-5 and depth.max() < chords.max() / 64 * 2
        missed = np.asarray(facing_plane(cameras, view))[~hit]
        np.testing.assert_allclose(points[~hit], missed, atol=1e-5)


def test_a_camera_that_looks_away_from_a_full_cube_hits_nothing():
    cameras = orbit_cameras([0.0], 0.0, 1.5, 20.0, 8, 8)
    behind = np.array(cameras.w2c)
    behind[:, [0, 2]] *= -1.0  # half a turn about the camera's y axis, at the same place
    _, hit = first_hits(FULL, cameras.replace(w2c=behind), 0)
    assert not np.asarray(hit).any()


def test_a_wide_picture_of_a_full_hull_has_its_misses_on_the_facing_plane():
    cameras = orbit_cameras([0.0, 90.0], 0.0, 1.5, 4.0, 16, 16)
    points = hull_points(cameras, np.ones((2, 16, 16)), resolution=8)
    # The corner pixel looks atan(sqrt(2) 7.5 / 4) = 69 degrees off the axis, past the cube; its
    # point has depth 1.5, so that x is 0 for the camera on +x.
    np.testing.assert_allclose(points[0, 0, 0, 0], 0.0, atol=1e-5)
    # The middle meets the face x = 0.6 or a step behind it: of 16 steps through 1.2.
    assert 0.6 - 1.2 / 16 < points[0, 8, 8, 0] <= 0.6
