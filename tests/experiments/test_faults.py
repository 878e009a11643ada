"""Every case of experiments/faults is read right, or refused with the words of the mend."""

import ast

import numpy as np
import pytest

from experiments.faults import small
from experiments.faults.cases import CASES, MADE
from jaxvsnerf.config.resolve import data_spec
from jaxvsnerf.errors import InputError
from jaxvsnerf.run.check import picture_remarks
from jaxvsnerf.run.dataset import read_pictures
from jaxvsnerf.simulate.toy import render_toy

pytestmark = pytest.mark.slow


def given(flags):
    """A config with the values of flags of the section `data`."""
    config = small.get_config()
    for flag in flags:
        name, value = flag.removeprefix("--config.data.").split("=", 1)
        plain = isinstance(config.data[name], str)
        config.data[name] = value if plain else ast.literal_eval(value)
    return config


def read(case, folder):
    """The pictures of a case, as training reads and checks them, and what is said of them."""
    config = given(case.write(folder))
    dataset = read_pictures(config)
    said = picture_remarks(data_spec(config), dataset)
    return dataset, " ".join([*said, *dataset.inputs.notes])


@pytest.mark.parametrize("name", CASES)
def test_an_input_is_read_right_or_refused(name, tmp_path):
    case = CASES[name]
    if case.right != MADE:
        with pytest.raises(InputError, match=case.words):
            read(case, tmp_path)
        return
    dataset, said = read(case, tmp_path)
    assert case.words in said
    views = dataset.inputs
    # The toy is not seen upright by all: cameras of the source draw it in the source's frame.
    to_source = case.frame()
    cameras = views.cameras
    moved = np.asarray(cameras.w2c, float)
    cube = dataset.to_cube
    full = np.eye(4)
    full[:3, :3], full[:3, 3] = cube.scale * np.asarray(cube.rotation), cube.translation
    world = full @ to_source
    w2c = np.concatenate([moved[:, :, :3] @ world[:3, :3], moved[:, :, :3] @ world[:3, 3:]], -1)
    w2c[:, :, 3] += moved[:, :, 3]
    scale = np.cbrt(np.linalg.det(w2c[:, :, :3]))[:, None, None]
    some = [0, len(w2c) // 3, len(w2c) // 2]
    true = cameras.replace(
        w2c=np.float32(w2c / scale)[some], intrinsics=np.asarray(cameras.intrinsics)[some]
    )
    _, masks = render_toy(true, supersample=2)
    both = (views.masks[some] > 0.5, masks > 0.5)
    ious = (both[0] & both[1]).sum((1, 2)) / (both[0] | both[1]).sum((1, 2))
    assert ious.min() > 0.6, ious
