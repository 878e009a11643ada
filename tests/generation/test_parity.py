"""Networks and sampling equal to the original, from recorded inputs and outputs."""

from itertools import islice

import numpy as np
import pytest

from experiments.generation_parity import checks, sampling
from experiments.generation_parity.fixtures import Fixtures

pytestmark = pytest.mark.unoptimized


@pytest.fixture(scope="module")
def fixtures(data_folder):
    return Fixtures(data_folder / "syncdreamer_parity")


@pytest.fixture(scope="module")
def predict():
    return sampling.make_predict()


def assert_all(found, least):
    found = list(found)
    assert len(found) >= least
    beyond = [f"{check.name}: {check.error():.2e}" for check in found if not check.passes()]
    assert not beyond


@pytest.mark.parametrize(
    "check,least",
    [
        (checks.check_schedule, 19),
        (checks.check_ddim_step, 6),
        (checks.check_embeddings, 7),
        (checks.check_geometry, 4),
        (checks.check_vae, 30),
        (checks.check_clip, 9),
        (checks.check_spatial_volume, 17),
        (checks.check_frustum, 11),
        (checks.check_unet, 47),
        (sampling.check_probes, 19),
    ],
)
def test_modules_are_the_originals(check, least, fixtures):
    assert_all(check(fixtures), least)


@pytest.mark.slow
def test_guided_noise_is_the_originals(fixtures, predict):
    # Of the first object; the experiment checks the second too.
    assert_all(islice(sampling.check_guided(fixtures, predict), 2), 2)


@pytest.mark.slow
@pytest.mark.slow
def test_sampling_is_the_originals_from_the_photo_to_the_strip(fixtures, predict):
    # Step by step for four views; the experiment follows the whole run.
    chosen = np.array([0, 9, 5, 14])
    assert_all(sampling.check_sampling(fixtures, predict, chosen), 6)
