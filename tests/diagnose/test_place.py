"""diagnose/place.py: what the sampled cube would cut off, and views that share nothing."""

import numpy as np
import pytest

from jaxvsnerf.data.similarity import explicit_similarity
from jaxvsnerf.diagnose import place
from jaxvsnerf.diagnose.place import object_cover, place_remarks
from jaxvsnerf.geometry.cameras import identity_similarity, orbit_cameras, transform_cameras
from jaxvsnerf.types import Similarity
from tests.solid_views import solid_views

HERE = identity_similarity()


@pytest.fixture(scope="module")
def views():
    return solid_views(orbit_cameras([45.0 * k for k in range(8)], 30.0, 1.5, 70.0, 64, 64), 0.38)


def moved(views, scale, x):
    similarity = Similarity(np.float32(scale), np.eye(3), np.array([x, 0.0, 0.0]))
    return views.replace(cameras=transform_cameras(views.cameras, similarity))


def test_right_views_get_no_remark(views):
    assert place_remarks(views, HERE) == []
    assert object_cover(views.masks, views.cameras).inside.mean() > 0.98


@pytest.mark.parametrize("scale, x", [(1.0, 0.5), (2.0, 0.0)])
def test_an_object_out_of_the_cube_stops_with_a_similarity_that_fits(views, scale, x):
    wrong = moved(views, scale, x)
    (remark,) = place_remarks(wrong, HERE)
    assert remark.stop and "reaches out of the cube" in remark.text
    numbers = remark.text.split("data.similarity=(")[1].split(")")[0].split(",")
    mended = transform_cameras(wrong.cameras, explicit_similarity(tuple(map(float, numbers))))
    assert place_remarks(wrong.replace(cameras=mended), HERE) == []


def test_the_mend_of_a_source_that_was_moved_is_in_the_sources_frame(views):
    # The user's own similarity cuts the object off: the cube is twice too small.
    given = explicit_similarity((2.0, 0.0, 0.0, 0.0))
    wrong = views.replace(cameras=transform_cameras(views.cameras, given))
    (remark,) = place_remarks(wrong, given)
    scale = float(remark.text.split("data.similarity=(")[1].split(",")[0])
    assert 0.7 < scale < 1.3


def test_pictures_in_the_wrong_order_are_a_warning(views):
    wrong = views.replace(images=views.images[::-1], masks=views.masks[::-1])
    (remark,) = place_remarks(wrong, HERE)
    assert not remark.stop and "hardly agree" in remark.text and "inspect" in remark.text


def test_views_that_share_nothing_stop(views, monkeypatch):
    monkeypatch.setattr(place, "_likely_mistake", lambda views: "why")
    w2c = np.diag([1.0, -1.0, -1.0]) @ np.asarray(views.cameras.w2c)
    wrong = views.replace(cameras=views.cameras.replace(w2c=w2c.astype(np.float32)))
    assert [(one.stop, one.text) for one in place_remarks(wrong, HERE)] == [(True, "why")]


def test_a_view_that_was_left_out_is_not_asked(views, monkeypatch):
    monkeypatch.setattr(place, "_likely_mistake", lambda views: "why")
    masks = np.array(views.masks)
    masks[3] = 0.0
    masks[3, :9, :9] = 1.0
    weights = np.ones(8, np.float32)
    weights[3] = 0.0
    wrong = views.replace(masks=masks)
    assert place_remarks(wrong, HERE) != []
    assert place_remarks(wrong.replace(weights=weights), HERE) == []


def test_views_without_masks_and_a_single_view_say_nothing(views):
    assert place_remarks(views.replace(masks=None), HERE) == []


def test_many_small_views_are_right():
    many = orbit_cameras([3.0 * k for k in range(120)], 20.0, 1.5, 26.0, 24, 24)
    assert place_remarks(solid_views(many), HERE) == []
