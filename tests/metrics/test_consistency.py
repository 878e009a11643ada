"""metrics/consistency.py: invariances, brute force, and an order that makes sense."""

import numpy as np
import pytest

from jaxvsnerf.geometry.cameras import take, transform_cameras
from jaxvsnerf.metrics.consistency import color_contrast, consistency, reduced, surface_coverage
from jaxvsnerf.types import Similarity
from tests.toy_views import toy_views


@pytest.fixture(scope="module")
def sets():
    """The toy's views, undamaged and damaged."""
    names = ("clean", "medium", "severe")
    return dict(zip(names, toy_views(*names), strict=True))


def score(views, order=None, cameras=None):
    index = np.arange(len(views.images)) if order is None else np.asarray(order)
    return consistency(views.images[index], views.masks[index], cameras or views.cameras)


def test_damage_lowers_the_score_and_each_part_of_it_is_at_most_one(sets):
    clean, medium, severe = (score(sets[name]) for name in ("clean", "medium", "severe"))
    assert clean.score > medium.score + 0.1 > severe.score + 0.2
    for one in (clean, medium, severe):
        assert 0 <= one.score <= min(one.silhouettes, one.colors) <= 1
        assert one.score == pytest.approx(one.silhouettes * one.colors)
    assert clean.silhouettes > 0.95


def test_the_order_of_the_views_does_not_matter(sets):
    views, order = sets["medium"], np.random.default_rng(0).permutation(8)
    one, other = score(views), score(views, order, take(views.cameras, order))
    assert other.score == pytest.approx(one.score, abs=1e-5)
    np.testing.assert_allclose(other.view_colors, one.view_colors[order], atol=1e-5)
    np.testing.assert_allclose(other.view_silhouettes, one.view_silhouettes[order], atol=1e-6)


def test_a_quarter_turn_of_the_world_changes_next_to_nothing(sets):
    views = sets["medium"]
    turn = Similarity(np.float32(1), np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.zeros(3))
    turned = score(views, cameras=transform_cameras(views.cameras, turn))
    assert turned.score == pytest.approx(score(views).score, abs=5e-3)


def test_pictures_at_the_wrong_cameras_agree_less(sets):
    views, right = sets["clean"], score(sets["clean"]).score
    assert score(views, [0, 1, 5, 3, 4, 2, 6, 7]).score < right - 0.1
    assert score(views, [7, 6, 5, 4, 3, 2, 1, 0]).score < right - 0.1


def test_a_set_of_one_grey_has_the_same_silhouettes_and_agrees_in_colour_where_it_is_seen(sets):
    views = sets["clean"]
    grey = views.replace(images=np.full_like(views.images, 0.5))
    found = score(grey)
    assert found.silhouettes == pytest.approx(score(views).silhouettes)
    assert found.errors.max() < 1e-6
    # Solid pixels of two neighbours a view, PRIOR of which count as unlike: no other error.
    prior = 0.02 * 2 * (views.masks > 0.9).sum()
    assert found.colors == pytest.approx(1 - prior / (2 * found.covered.sum() + prior), rel=1e-5)


def test_the_contrast_is_the_mean_over_all_pairs_of_pixels():
    images = np.random.default_rng(1).uniform(size=(2, 6, 5, 3))
    masks = np.zeros((2, 6, 5))
    masks[:, 1:5, 1:4] = 1.0
    pixels = images[masks > 0.9]
    pairs = np.abs(pixels[:, None] - pixels[None]).mean()
    assert color_contrast(images, masks) == pytest.approx(pairs)


def test_a_larger_picture_is_scored_as_a_smaller_one(sets):
    views = sets["medium"]
    twice = views.images.repeat(2, 1).repeat(2, 2), views.masks.repeat(2, 1).repeat(2, 2)
    k = views.cameras.intrinsics * np.array([2.0, 2.0, 1.0])[:, None]
    cameras = views.cameras.replace(intrinsics=k.astype(np.float32), width=128, height=128)
    images, masks, small = reduced(*twice, cameras)
    assert images.shape == views.images.shape and small.width == 64
    np.testing.assert_allclose(small.intrinsics, views.cameras.intrinsics, rtol=1e-6)
    found = consistency(*twice, cameras)
    assert found.score == pytest.approx(score(views).score, abs=0.05)


def test_every_view_sees_some_of_the_surface_and_together_they_see_most(sets):
    views = sets["clean"]
    seen = surface_coverage(views.masks, views.cameras)
    assert np.all((seen.mean(1) > 0.2) & (seen.mean(1) < 0.7))
    assert seen.any(0).mean() > 0.75


def test_what_cannot_be_compared_is_refused(sets):
    views = sets["clean"]
    with pytest.raises(ValueError, match="at least two pictures"):
        consistency(views.images[:1], views.masks[:1], take(views.cameras, [0]))
    with pytest.raises(ValueError, match="and 8"):
        consistency(views.images[:4], views.masks[:4], views.cameras)
