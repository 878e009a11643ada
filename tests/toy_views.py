"""Eight views of the toy, for tests of how views agree."""

import numpy as np

from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.simulate.inconsistency import damage_views
from jaxvsnerf.simulate.toy import render_toy
from jaxvsnerf.types import ViewSet


def toy_views(*severities):
    """A ViewSet for each severity of damage, SyncDreamer's lens, 64x64."""
    cameras = orbit_cameras([45.0 * k for k in range(8)], 30.0, 1.5, 70.0, 64, 64)
    images, masks = render_toy(cameras, supersample=2)
    names = tuple(f"{k:03d}" for k in range(8))
    clean = ViewSet(images, masks, cameras, np.ones(3, np.float32), names)
    return [damage_views(clean, severity, 0) for severity in severities]
