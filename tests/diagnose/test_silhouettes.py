"""diagnose/silhouettes.py: masks that are no silhouettes, and where masks come from."""

import numpy as np
import pytest

from jaxvsnerf.diagnose.silhouettes import mask_facts, silhouette_remarks
from jaxvsnerf.geometry.cameras import orbit_cameras, take
from jaxvsnerf.types import ViewSet

SIZE, VIEWS = 40, 8
# Three balls: centre and radius, in the cube.
BALLS = np.array([[0.0, 0.0, 0.1, 0.25], [0.2, 0.1, -0.15, 0.15], [-0.1, -0.2, -0.2, 0.12]])


def _masks(cameras):
    """[V, SIZE, SIZE] silhouettes of the balls, drawn as discs."""
    place = np.arange(SIZE) + 0.5
    masks = np.zeros((len(cameras.w2c), SIZE, SIZE), np.float32)
    for mask, k, w2c in zip(masks, cameras.intrinsics, cameras.w2c, strict=True):
        for *centre, radius in BALLS:
            x, y, depth = np.asarray(w2c[:, :3]) @ centre + np.asarray(w2c[:, 3])
            x, y = k[0, 0] * x / depth + k[0, 2], k[1, 1] * y / depth + k[1, 2]
            near = np.hypot(place - x, place[:, None] - y) < k[0, 0] * radius / depth
            mask[near] = 1.0
    return masks


@pytest.fixture(scope="module")
def right():
    cameras = orbit_cameras([45.0 * k for k in range(VIEWS)], 30.0, 1.5, 44.0, SIZE, SIZE)
    masks = _masks(cameras)
    images = np.repeat(1.0 - 0.5 * masks[..., None], 3, -1)
    names = tuple(f"{k:03d}" for k in range(VIEWS))
    return ViewSet(images, masks, cameras, np.ones(3, np.float32), names)


def _some(views, count):
    return views.replace(
        images=views.images[:count],
        masks=views.masks[:count],
        cameras=take(views.cameras, range(count)),
        names=views.names[:count],
    )


def _changed(views, index, mask):
    masks = views.masks.copy()
    masks[index] = mask
    return views.replace(masks=masks)


def _said(views):
    return [(one.heading, one.stop) for one in silhouette_remarks(views)]


COVERS = ("Masks that cover the whole picture", True)
EXCHANGED = ("Masks with object and surroundings exchanged", True)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_right_masks_are_right_whatever_the_number_of_views(count, right):
    assert _said(_some(right, count)) == []
    assert silhouette_remarks(right.replace(masks=None)) == []


@pytest.mark.parametrize("count", [3, 4, 8])
def test_one_mask_of_the_whole_picture_stops_and_is_named(count, right):
    views = _changed(_some(right, count), 2, 1.0)
    assert _said(views) == [COVERS]
    assert "view 002: the mask covers 100% of the picture" in silhouette_remarks(views)[0].text


@pytest.mark.parametrize("count", [1, 4, 8])
def test_masks_that_cover_everything_stop(count, right):
    views = _some(right, count)
    assert _said(views.replace(masks=np.ones_like(views.masks))) == [COVERS]
    assert _said(views.replace(masks=1.0 - views.masks)) == [EXCHANGED]


@pytest.mark.parametrize("count", [4, 8])
def test_one_inverted_mask_stops(count, right):
    views = _some(right, count)
    assert _said(_changed(views, 1, 1.0 - views.masks[1])) == [EXCHANGED]


def test_a_mask_of_something_else_and_an_almost_empty_mask_are_named(right):
    elsewhere = np.zeros((40, 40))
    elsewhere[:9, :9] = 1.0
    assert _said(_changed(right, 5, elsewhere)) == [("A mask that does not fit the others", False)]
    speck = np.zeros((40, 40))
    speck[20, 20] = 1.0
    assert _said(_changed(right, 5, speck)) == [("A mask that shows nearly nothing", False)]


def test_outlines_are_named(right):
    inside = np.stack([np.roll(m, 1, 0) * np.roll(m, -1, 0) * m for m in right.masks])
    inside *= np.stack([np.roll(m, 1, 1) * np.roll(m, -1, 1) for m in right.masks])
    views = right.replace(masks=right.masks * (inside < 0.9))
    assert ("Masks of outlines alone", False) in _said(views)


def test_objects_that_the_border_cuts_are_right(right):
    cameras = right.cameras
    shifted = np.array(cameras.intrinsics) + np.float32([[0, 0, 14], [0, 0, 0], [0, 0, 0]])
    every_second = np.arange(VIEWS)[:, None, None] % 2
    cameras = cameras.replace(intrinsics=np.where(every_second, shifted, cameras.intrinsics))
    views = right.replace(masks=_masks(cameras), cameras=cameras)
    assert (views.masks[:, :, -1] > 0.5).any() and _said(views) == []


def test_the_words_say_where_masks_come_from_and_how_much_they_cover(right):
    views = right.replace(mask_sources=("alpha",) + ("background",) * 7)
    share = (views.masks > 0.5).mean((1, 2))
    text = f"they cover {100 * share.min():.0f} to {100 * share.max():.0f} % of the pictures"
    assert mask_facts(views) == f"masks: alpha of 1 view, background of 7; {text}"
    assert mask_facts(right) == f"masks: of 8 views; {text}"
    one = _some(right, 1).replace(mask_sources=("file",))
    assert mask_facts(one).startswith("masks: mask files of 1 view; they cover 16 %")
    assert mask_facts(right.replace(masks=None)).startswith("warning: no masks: ")
