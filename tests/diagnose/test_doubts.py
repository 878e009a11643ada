"""Sets of pictures that are doubted as a whole."""

import numpy as np
import pytest

from jaxvsnerf.diagnose.doubts import doubts
from jaxvsnerf.simulate.toy import toy_dataset


@pytest.fixture(scope="module")
def views():
    return toy_dataset(24, 8, "mild", 0, np.ones(3, np.float32)).inputs


def test_a_right_set_is_not_doubted(views):
    assert doubts(views) == []
    assert doubts(views.replace(weights=np.float32([1, 1, 1, 1, 1, 1, 1, 0]))) == []


def test_pictures_of_12_bits_in_16_are_told_of(views):
    (found,) = doubts(views.replace(images=views.images / 16))
    assert "nearly black" in found.text and not found.stop


def test_many_views_left_out_doubt_the_set(views):
    (found,) = doubts(views.replace(weights=np.float32([1, 1, 0, 1, 1, 1, 1, 0])))
    assert found.text.startswith("2 of 8 views agree with no other")
    assert views.names[2] in found.text and not found.stop
