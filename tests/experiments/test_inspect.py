"""experiments/inspect: what is planted can be undone by what is tried."""

import numpy as np
import pytest

from experiments.inspect.run import INVERSE, OUTSIDE, plant
from jaxvsnerf.diagnose.corrections import LENS, ORDER, order_corrections, pose_corrections
from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.types import ViewSet


@pytest.fixture(scope="module")
def planted():
    cameras = orbit_cameras([22.5 * k for k in range(16)], 30.0, 1.5, 70.0, 64, 64)
    numbers = np.broadcast_to(np.arange(16.0)[:, None, None], (16, 2, 2))
    names = tuple(f"{k:03d}" for k in range(16))
    views = ViewSet(numbers[..., None], numbers, cameras, np.ones(3), names)
    return views, list(plant(views, 0))


def test_every_pose_that_is_planted_wrong_is_undone_by_the_correction_of_its_name(planted):
    views, mistakes = planted
    poses = [(name, wrong) for _, name, wrong in mistakes if name not in (LENS, ORDER, OUTSIDE)]
    assert {name for name, _ in poses} >= {INVERSE, "camera axes flipped"} and len(poses) == 5
    for name, wrong in poses:
        tried = [one for one in pose_corrections(wrong.cameras) if one.name == name]
        # Elevations that were taken for radians come back among all that look like them.
        off = [np.abs(one.cameras.w2c - views.cameras.w2c).max() for one in tried]
        assert min(off, default=np.inf) < 2e-3, name


def test_an_order_that_is_planted_wrong_is_undone_by_one_that_is_tried(planted):
    views, mistakes = planted
    for what, name, wrong in mistakes:
        if name != ORDER or what == "two views exchanged":
            continue
        found = wrong.masks[:, 0, 0].astype(int)
        tried = order_corrections(views.cameras, views.names, None)
        assert any([found[k] for k in one.order] == list(range(16)) for one in tried), what
