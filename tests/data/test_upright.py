"""data/upright.py: cameras tell which way is up, in any frame."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from jaxvsnerf.data.upright import camera_up, tilt_deg, turn_upright
from jaxvsnerf.geometry.cameras import orbit_cameras

RING = [30.0 * k for k in range(12)]
RANDOM = np.random.default_rng(0)


def found(azimuth, elevation, roll_deg=0.0, side_deg=0.0):
    """Error in degrees of the direction found in five random frames; None where none is found."""
    cameras = orbit_cameras(azimuth, elevation, 1.5, 50.0, 64, 48)
    rolls = side_deg + RANDOM.normal(0.0, roll_deg, (len(azimuth), 1))
    held = Rotation.from_euler("z", rolls, degrees=True).as_matrix() @ cameras.w2c[:, :, :3]
    errors = []
    for frame in Rotation.random(5, random_state=1).as_matrix():
        w2c = np.concatenate([held @ frame.T, cameras.w2c[:, :, 3:]], -1)
        up = camera_up(cameras.replace(w2c=w2c))
        errors.append(None if up is None else tilt_deg(frame.T @ up))
    return errors


@pytest.mark.parametrize(
    "azimuth, elevation, given, most",
    [
        (RING, [35.0, 10.0] * 6, {}, 0.1),
        (RING, [0.0] * 12, {}, 0.1),
        (RING, [35.0, 10.0] * 6, {"roll_deg": 4.0}, 5.0),
        (np.linspace(0, 90, 12), [30.0, 5.0] * 6, {"roll_deg": 3.0}, 6.0),
        # From above only, and stored sideways.
        (RING, [85.0] * 12, {}, 0.1),
        (RING, [35.0, 10.0] * 6, {"side_deg": 90.0}, 0.1),
        (RING, [35.0, 10.0] * 6, {"side_deg": -90.0}, 0.1),
    ],
)
def test_up_is_found_in_any_frame(azimuth, elevation, given, most):
    assert max(found(azimuth, elevation, **given)) <= most


def test_cameras_that_do_not_agree_tell_nothing():
    assert found(RING, [20.0] * 12, roll_deg=90.0) == [None] * 5
    # From one side, the picture's up is off by the unknown elevation.
    assert found([0.0, 2.0, 4.0, 6.0], [80.0, 82.0, 84.0, 86.0], roll_deg=2.0) == [None] * 5


def test_the_turn_takes_up_to_z():
    for up in ([0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [0.6, 0.0, -0.8], [1.0, 0.0, 0.0]):
        turn = turn_upright(np.array(up))
        np.testing.assert_allclose(turn @ up, [0.0, 0.0, 1.0], atol=1e-12)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) > 0
