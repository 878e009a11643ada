"""diagnose/readings.py: the reading whose views agree best, and the sentence about the choice."""

import numpy as np
import pytest

from jaxvsnerf.diagnose.readings import Reading, choose_reading, view_agreement
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.types import ViewSet


def readings(*values):
    """Readings that load a number, or raise an error."""

    def load(value):
        if value is InputError:
            raise InputError("unreadable")
        return value

    return [
        Reading(f"way {k}", f"data.x={k}", lambda value=value: load(value))
        for k, value in enumerate(values)
    ]


def choice(*values):
    return choose_reading(readings(*values), lambda value: value)


def test_the_reading_of_best_agreement_is_taken_and_said():
    found = choice(0.3, 0.7, 0.4)
    assert found.index == 1 and found.gain == pytest.approx(0.3)
    assert found.text == (
        "read as way 1: the views agree to 0.70, otherwise to 0.40; --config.data.x=2 reads way 2"
    )


def test_the_usual_reading_stays_where_another_is_hardly_better():
    found = choice(0.60, 0.63)
    assert found.index == 0 and "about as well either way (0.60, 0.63)" in found.text
    assert "--config.data.x=1 reads way 1" in found.text


def test_without_masks_the_usual_reading_stays():
    found = choice(None, None)
    assert (found.index, found.gain) == (0, 0.0) and "nothing in the pictures tells" in found.text


def test_a_reading_that_cannot_be_loaded_is_not_taken():
    found = choice(InputError, 0.2)
    assert found.index == 1 and "way 0 cannot be read" in found.text
    with pytest.raises(InputError, match="unreadable"):
        choice(InputError, InputError)


def test_views_without_masks_have_no_agreement():
    cameras = orbit_cameras([0.0, 90.0], 0.0, 1.5, 8.0, 8, 8)
    views = ViewSet(np.ones((2, 8, 8, 3)), None, cameras, np.ones(3), ("a", "b"))
    assert view_agreement(views) is None
    one = views.replace(images=views.images[:1], masks=np.ones((1, 8, 8)))
    assert view_agreement(one) is None
