"""Every key of the original's checkpoints has its place, and nothing else has."""

import json

import jax
import numpy as np
import pytest

from jaxvsnerf.generation.keys import expected_shapes, params_from_state, state_from_params
from jaxvsnerf.generation.networks import param_shapes, random_params
from jaxvsnerf.generation.spec import FULL, TINY

pytestmark = pytest.mark.unoptimized


@pytest.fixture(scope="module")
def params():
    return random_params(jax.random.key(0), TINY)


@pytest.fixture(scope="module")
def state(params):
    return state_from_params(params, TINY)


def listed(path):
    return {name: tuple(shape) for name, (shape, _) in json.loads(path.read_text())["keys"].items()}


@pytest.mark.slow
def test_the_full_model_has_the_keys_and_shapes_of_the_published_checkpoint(data_folder):
    keys = listed(data_folder / "syncdreamer_parity/keys_full.json")
    assert expected_shapes(FULL, "syncdreamer") == keys
    assert len(keys) == 1618


def test_zero123_has_the_keys_and_shapes_of_its_checkpoint_and_a_copy_of_every_average(data_folder):
    path = data_folder / "syncdreamer_parity/keys_zero123.json"
    expected, said = expected_shapes(FULL, "zero123"), json.loads(path.read_text())
    averages = {name for name in expected if name.startswith("model_ema.")}
    assert len(averages) == said["n_ema_keys"] and set(said["ema_key_examples"]) <= averages
    rest = {name: shape for name, shape in expected.items() if name not in averages}
    assert rest == listed(path)


def test_the_tiny_checkpoint_comes_back_bit_for_bit(data_folder):
    with np.load(data_folder / "syncdreamer_parity/weights_tiny.npz") as file:
        given = dict(file)
    made = state_from_params(params_from_state(given, TINY), TINY)
    assert made.keys() == given.keys()
    # Buffers are constants here, and CLIP's text side is not kept.
    changed = {name for name in given if not np.array_equal(made[name], given[name])}
    assert all("." not in name or name.startswith("clip_image_encoder.model.") for name in changed)
    assert not any("visual" in name for name in changed)


@pytest.mark.parametrize("model", ["syncdreamer", "zero123"])
def test_parameters_survive_the_way_to_a_checkpoint_and_back(model):
    given = random_params(jax.random.key(1), TINY, model)
    state = state_from_params(given, TINY, model)
    assert {name: value.shape for name, value in state.items()} == expected_shapes(TINY, model)
    jax.tree.map(np.testing.assert_array_equal, params_from_state(state, TINY, model), given)


def test_zero123_is_sampled_with_its_averages():
    given = random_params(jax.random.key(1), TINY, "zero123")
    state = state_from_params(given, TINY, "zero123")
    state["model_ema.diffusion_modelout2bias"] = np.full(4, 7.0, np.float32)
    made = params_from_state(state, TINY, "zero123")
    np.testing.assert_array_equal(made["unet"]["out_2"]["bias"], 7.0)


def test_kernels_are_the_original_ones_with_other_axes(params, state):
    unet = params["unet"]["input_blocks_1_0"]["in_layers_2"]["kernel"]
    name = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"
    assert state[name][5, 7, 0, 2] == unet[0, 2, 7, 5]
    up = params["spatial_net"]["conv9"]["conv"]["up_kernel"]  # transposed: in, out, taps
    name = "spatial_volume.spatial_volume_feats.conv9.conv.weight"
    assert state[name].shape == (24, 16, 3, 3, 3)
    assert state[name][5, 7, 0, 1, 2] == up[0, 1, 2, 5, 7]
    linear = params["cc_projection"]["kernel"]
    assert state["cc_projection.weight"][3, 4] == linear[4, 3]


def test_missing_unknown_and_wrong_arrays_are_listed_with_their_number(state):
    wrong = dict(state)
    for name in list(wrong)[:3]:
        del wrong[name]
    wrong["model.extra"] = np.zeros(3)
    wrong["cc_projection.bias"] = np.zeros(5)
    with pytest.raises(ValueError) as caught:
        params_from_state(wrong, TINY)
    said = str(caught.value)
    assert "3 missing" in said and list(state)[0] in said
    assert "1 unknown: model.extra" in said
    assert "1 of another shape: cc_projection.bias (5,) instead of (768,)" in said


def test_a_long_list_is_cut_and_counted(state):
    with pytest.raises(ValueError, match=r"\d{4} missing: .*, \.\.\.") as caught:
        params_from_state({}, TINY)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["betas", "alphas_cumprod", "poses", "Ks", "azimuth"])
def test_a_checkpoint_of_another_schedule_or_rig_is_refused(state, name):
    with pytest.raises(ValueError, match=f"whose {name} are constants"):
        params_from_state(state | {name: state[name] * 1.01}, TINY)
    with pytest.raises(ValueError, match=f"whose {name} are constants"):
        params_from_state(state | {name: np.full_like(state[name], np.nan)}, TINY)


def test_an_unknown_model_is_refused(state):
    with pytest.raises(ValueError, match="syncdreamer, zero123"):
        params_from_state(state, TINY, "zero321")


def test_random_parameters_depend_on_the_key_alone():
    first, second = (random_params(jax.random.key(0), TINY) for _ in range(2))
    other = random_params(jax.random.key(1), TINY)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    kernels = [tree["cc_projection"]["kernel"] for tree in (first, other)]
    assert not np.array_equal(*kernels)
    # Features keep their size: the variance of a kernel is that of one over its inputs.
    assert np.var(kernels[0]) == pytest.approx(1 / 772, rel=0.02)
    shapes = jax.tree.map(lambda leaf: leaf.shape, param_shapes(TINY, "syncdreamer"))
    assert jax.tree.map(np.shape, first) == shapes
