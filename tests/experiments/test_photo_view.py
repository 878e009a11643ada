"""The experiment on the photo as one more view, with a stand-in for the training."""

import numpy as np

from experiments.photo_view import run
from jaxvsnerf.geometry.cameras import identity_similarity, orbit_cameras
from jaxvsnerf.types import Dataset, Photo
from tests.tiny import make_views


def test_a_row_says_with_which_photo_it_was_scored(monkeypatch):
    views = make_views()
    camera = orbit_cameras([0], 30, 1.5, 52.0, 40, 30)
    image, mask = np.ones((1, 30, 40, 3), np.float32), np.ones((1, 30, 40), np.float32)
    photo = Photo(views.replace(images=image, masks=mask, cameras=camera), 1.0, 0.9, 30.0, 0.9)
    monkeypatch.setattr(run, "load_photo", lambda *arguments: photo)
    given = []
    monkeypatch.setattr(run, "score", lambda config, data: given.append(data) or [3.0, 2.0, 1.0])
    dataset = Dataset(views, views, None, identity_similarity())
    rows = [
        dict(zip(run.COLUMNS, row, strict=True))
        for row in run.rows("disc", None, (dataset, None), [0.0, 2.0], 0.5, 7)
    ]
    assert given[0].photo is None and given[1].photo.weight == 2.0
    assert given[1].photo.view.images.shape == (1, 15, 20, 3)
    assert [row["weight"] for row in rows] == [0.0, 2.0]
    expected = {"seed": 7, "views_px": 12, "photo_px": 20, "scored_px": 12, "overlap": 0.9}
    assert expected.items() <= rows[1].items() and rows[1]["rest"] == 1.0
