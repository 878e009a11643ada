"""data/similarity.py: the same cube wherever a scene lies and whatever its unit is."""

import numpy as np
import pytest

from jaxvsnerf.data.similarity import explicit_similarity, find_similarity
from jaxvsnerf.geometry.cameras import (
    inverse_similarity,
    orbit_cameras,
    project,
    transform_cameras,
    transform_points,
)

SIZE, RADIUS = 48, 0.3


@pytest.fixture(scope="module")
def ball():
    """Masks of a ball of radius 0.3 around (0.1, 0, -0.05), seen from eight cameras."""
    cameras = orbit_cameras([45.0 * k for k in range(8)], [30.0, -10.0] * 4, 1.5, 52.0, SIZE, SIZE)
    turn = np.random.default_rng(0).normal(size=(4000, 3))
    surface = RADIUS * turn / np.linalg.norm(turn, axis=-1, keepdims=True) + (0.1, 0.0, -0.05)
    masks = np.zeros((8, SIZE, SIZE), np.float32)
    for view in range(8):
        pixels, _ = project(cameras.intrinsics[view], cameras.w2c[view], surface.astype(np.float32))
        x, y = np.floor(np.asarray(pixels)).astype(int).T
        masks[view, y, x] = 1.0
        masks[view] = (
            np.maximum.accumulate(masks[view], 1)
            * (np.maximum.accumulate(masks[view][:, ::-1], 1)[:, ::-1])
        )
    return cameras, masks


def moved(cameras, scale, offset):
    """The cameras in the frame scale * x + offset, in float64."""
    w2c = np.array(cameras.w2c, np.float64)
    w2c[:, :, 3] = scale * w2c[:, :, 3] - w2c[:, :, :3] @ np.asarray(offset)
    return cameras.replace(w2c=w2c)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(
    "scale, offset",
    [
        (1.0, (0.0, 0.0, 0.0)),
        (1.07, (1e6, -1e6, 1e6)),
        (250.0, (-4e6, 0.0, 7e5)),
        (0.01, (1e4,) * 3),
    ],
)
def test_a_moved_and_scaled_scene_has_the_same_cameras_in_the_cube(ball, masked, scale, offset):
    cameras, masks = ball[0], ball[1] if masked else None
    expected = find_similarity(cameras, masks)
    elsewhere = moved(cameras, scale, offset)
    found = find_similarity(elsewhere, masks)
    assert found.scale * scale == pytest.approx(float(expected.scale), rel=1e-6)
    # Places at 1e6 are known to 1e-10, at 0.01 of a unit a side to 1e-8 of the cube; lengths up to
    # 3 sides of the cube are float32, known to 2e-7.
    np.testing.assert_allclose(
        transform_cameras(elsewhere, found).w2c, transform_cameras(cameras, expected).w2c, atol=1e-6
    )


def test_an_explicit_similarity_keeps_the_digits_of_a_scene_far_out(ball):
    cameras = ball[0]
    # x = 1.07 p + 1e6 is undone by p = x / 1.07 - 1e6 / 1.07.
    given = explicit_similarity((1 / 1.07, *[-1e6 / 1.07] * 3))
    back = transform_cameras(moved(cameras, 1.07, [1e6] * 3), given)
    np.testing.assert_allclose(back.w2c, cameras.w2c, atol=1e-6)


def test_points_and_their_way_back_keep_their_digits_far_out():
    similarity = explicit_similarity((0.5, -5e5, 2e5, 1e5))
    points = np.array([[1e6 + 0.2, -4e5 + 0.1, -2e5 - 0.3]])
    in_cube = transform_points(points, similarity)
    np.testing.assert_allclose(in_cube, [[0.1, 0.05, -0.15]], atol=1e-9)
    back = transform_points(in_cube, inverse_similarity(similarity))
    np.testing.assert_allclose(back, points, rtol=0, atol=1e-8)
