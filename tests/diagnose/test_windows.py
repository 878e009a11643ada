"""Frames, windows and bounding boxes in place of silhouettes are refused."""

import numpy as np
import pytest

from jaxvsnerf.data.borders import find_backgrounds
from jaxvsnerf.data.mask_files import are_inverted, without_lines
from jaxvsnerf.data.mask_sources import BACKGROUND
from jaxvsnerf.data.masks import mask_on_background
from jaxvsnerf.diagnose.silhouettes import silhouette_remarks
from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.types import ViewSet

SIZE = 48


def views(masks, elevation=30.0, inner=None):
    """Views of one mask [48, 48] for all cameras; `inner` is an object before white within it."""
    cameras = orbit_cameras([45.0 * k for k in range(8)], elevation, 1.5, 52.0, SIZE, SIZE)
    image = np.random.default_rng(0).random((SIZE, SIZE, 3)).astype(np.float32)
    if inner is not None:
        image = np.where(inner[..., None], image, np.float32(1.0))
    stacked = np.repeat(masks[None].astype(np.float32), 8, 0)
    images = np.repeat(image[None], 8, 0)
    return ViewSet(images, stacked, cameras, np.ones(3, np.float32), tuple(map(str, range(8))))


def box(top, bottom, left, right):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[top:bottom, left:right] = True
    return mask


def disc(radius):
    y, x = np.mgrid[:SIZE, :SIZE] - 0.5 * (SIZE - 1)
    return x**2 + y**2 < radius**2


@pytest.mark.parametrize("window", [box(6, 42, 6, 42), box(5, 43, 0, 48), box(12, 40, 10, 36)])
def test_rectangles_around_a_background_are_no_silhouettes(window):
    (remark,) = silhouette_remarks(views(window, inner=box(20, 30, 18, 28)))
    assert remark.stop and "8 of 8 views are rectangles" in remark.text


@pytest.mark.parametrize("inner", [None, box(0, 48, 0, 48), box(0, 0, 0, 0)])
def test_a_carton_is_no_window(inner):
    assert silhouette_remarks(views(box(10, 38, 12, 36), 0.0, inner)) == []


def test_a_ball_is_no_window():
    assert silhouette_remarks(views(disc(15), inner=disc(8))) == []


def test_lines_around_masks_neither_turn_them_nor_stay():
    mask = disc(14).astype(np.float32)
    lined = mask.copy()
    for edge in (np.s_[:2], np.s_[-2:], np.s_[:, :2], np.s_[:, -2:]):
        lined[edge] = 1.0
    assert not are_inverted([lined] * 4)
    np.testing.assert_array_equal(without_lines(lined), mask)
    assert are_inverted([1.0 - lined] * 4)
    np.testing.assert_array_equal(without_lines(mask), mask)
    # An object that fills the picture has no line around it.
    np.testing.assert_array_equal(without_lines(np.ones_like(mask)), np.ones_like(mask))


@pytest.mark.parametrize("kind", ["vignette", "dark vignette", "gradient"])
def test_an_uneven_background_is_no_object(kind):
    ball = disc(12)
    y, x = np.mgrid[:SIZE, :SIZE] / (SIZE - 1.0) - 0.5
    fall = {"vignette": 0.3 * (2 * (x**2 + y**2)) ** 4, "gradient": 0.2 * (y + 0.5)}
    shade = 1 - fall.get(kind, 0.5 * (x**2 + y**2))
    image = np.where(ball[..., None], (0.7, 0.3, 0.2), shade[..., None]).astype(np.float32)
    (background,) = find_backgrounds([image], [np.zeros((SIZE, SIZE), bool)], [True])
    mask = mask_on_background(image, background)
    given = views(mask > 0).replace(images=np.repeat(image[None], 8, 0), background=background)
    (remark,) = silhouette_remarks(given.replace(mask_sources=(BACKGROUND,) * 8))

    assert (
        remark.stop and "not of one colour" in remark.text and "cut the object out" in remark.text
    )
    assert "data.mask=background" not in remark.text


def test_parts_of_an_object_in_corners_are_no_background():
    mask = disc(12) | box(40, 48, 0, 48)
    image = np.where(disc(12)[..., None], (0.7, 0.3, 0.2), 1.0).astype(np.float32)
    image[-8:] = (0.7, 0.7, 0.5)
    given = views(mask).replace(images=np.repeat(image[None], 8, 0))
    found = silhouette_remarks(given.replace(mask_sources=(BACKGROUND,) * 8))
    assert not any("colour" in one.text for one in found)
