"""LPIPS: equal to the references, to a network written in loops, and from files."""

import functools
import io
import json
import sys
import zipfile
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.errors import InputError
from jaxvsnerf.metrics.lpips import NETWORKS, Lpips, Pool, _pool, load_lpips, lpips, weight_shapes
from jaxvsnerf.metrics.lpips_weights import convert, write_weights
from jaxvsnerf.metrics.scores import gather_metrics, score_views, write_metrics_csv
from jaxvsnerf.run.dataset import load_dataset
from tests import commands

pytestmark = pytest.mark.unoptimized


@functools.cache
def random_model(network):
    """Weights that keep features of about one size through the layers."""
    rng, weights = np.random.default_rng(0), {}
    for name, shape in weight_shapes(network).items():
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 1
        value = rng.normal(size=shape) * np.sqrt(2.0 / fan_in) * (0.1 if len(shape) == 1 else 1)
        weights[name] = np.abs(value) if name.startswith("lin") else value
    return Lpips(network, {name: value.astype(np.float32) for name, value in weights.items()})


def pictures(seed, *batch, size=40):
    return np.random.default_rng(seed).uniform(size=(*batch, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("network", ["alex", "squeeze"])
def test_real_pictures_score_as_the_reference_says(network, data_folder):
    spec = DataSpec(
        kind="strip",
        path=str(data_folder / "syncdreamer/chicken/strip.png"),
        truth=str(data_folder / "syncdreamer/chicken/gt"),
    )
    dataset = load_dataset(spec)
    model = load_lpips(data_folder / "lpips" / f"{network}_v0.1.npz")
    assert model.network == network
    inputs = dataset.inputs
    scores = score_views(inputs.images, dataset.clean, inputs.names, model)
    reference = json.loads((data_folder / "lpips" / "parity.json").read_text())[network]
    np.testing.assert_allclose(scores["lpips"]["per_view"], reference["per_view"], atol=1e-5)
    assert scores["lpips"]["mean"] == pytest.approx(reference["mean"], abs=1e-5)


@pytest.mark.parametrize(
    "network",
    [pytest.param(one, marks=[pytest.mark.slow] * (one == "vgg")) for one in NETWORKS],
)
def test_it_is_a_distance_of_each_picture_with_finite_gradients(network):
    # Weights are given to the program: as its constants they would take seconds to compile.
    weights = random_model(network).weights
    program = jax.jit(lambda a, b, given: lpips(a, b, Lpips(network, given)))
    derivative = jax.jit(jax.grad(lambda a, b, given: lpips(a, b, Lpips(network, given))))

    def distance(a, b):
        return program(a, b, weights)

    first, second = pictures(1, 2, size=32), pictures(2, 2, size=32)
    found = distance(first, second)
    assert found.shape == (2,) and np.all(found > 0)
    np.testing.assert_allclose(distance(second, first), found, rtol=1e-5)
    np.testing.assert_allclose(distance(first[1], second[1]), found[1], rtol=1e-4)
    np.testing.assert_allclose(distance(first, first), 0, atol=1e-7)
    near = first + 0.02 * (second - first)
    assert np.all(distance(first, near) < 0.5 * found)
    for image in (second[0], first[0], np.zeros_like(first[0])):
        assert np.all(np.isfinite(derivative(image, first[0], weights)))


def test_vgg_is_the_network_of_the_reference():
    # What `lpips` 0.1.4 says in float64 of the same weights and pictures.
    found = lpips(pictures(1, 2), pictures(2, 2), random_model("vgg"))
    np.testing.assert_allclose(found, [0.199531590, 0.201284576], rtol=1e-5)


@pytest.mark.parametrize("size,ceil", [(2, False), (3, False), (3, True)])
@pytest.mark.parametrize("side", [7, 8, 9])
def test_pooling_is_the_largest_of_each_window(size, ceil, side):
    x = np.random.default_rng(side).normal(size=(1, side, side, 2)).astype(np.float32)
    # A window begins at every second pixel; rounded up, the last may jut out.
    count = (-(-(side - size) // 2) if ceil else (side - size) // 2) + 1
    expected = [
        [x[0, 2 * i : 2 * i + size, 2 * j : 2 * j + size].max((0, 1)) for j in range(count)]
        for i in range(count)
    ]
    np.testing.assert_array_equal(_pool(jnp.asarray(x), Pool(size, ceil))[0], expected)


def test_without_weights_the_score_is_null(tmp_path):
    scores = score_views([pictures(0)], [pictures(1)], ["a"])
    assert scores["lpips"] is None
    metrics = gather_metrics({"stage1": scores}, scores)
    write_metrics_csv(tmp_path / "metrics.csv", metrics)
    assert "lpips" not in (tmp_path / "metrics.csv").read_text()


def test_other_files_and_small_pictures_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="lpips_weights"):
        load_lpips(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "object.npz", a=np.array([None]))
    for name in ("text", "other", "object"):
        with pytest.raises(ValueError, match="lpips_weights"):
            load_lpips(tmp_path / f"{name}.npz")
    with pytest.raises(ValueError, match="at least 32 pixels"):
        lpips(pictures(0, size=31), pictures(1, size=31), random_model("alex"))


def test_shapes_are_looked_at_before_an_array_is_read(tmp_path):
    weights = random_model("squeeze").weights
    np.savez_compressed(tmp_path / "small.npz", **weights)
    assert load_lpips(tmp_path / "small.npz").network == "squeeze"
    head, bias = "lin0.weight", "features.0.bias"
    # 8 TB, claimed by the header alone: what is there ends after it.
    header = io.BytesIO()
    claimed = {"descr": "<f4", "fortran_order": False, "shape": (1, 64, 2**20, 2**15)}
    np.lib.format.write_array_header_1_0(header, claimed)
    np.savez(tmp_path / "huge.npz", **{k: v for k, v in weights.items() if k != head})
    with zipfile.ZipFile(tmp_path / "huge.npz", "a") as archive:
        archive.writestr(f"{head}.npy", header.getvalue())
    np.savez(tmp_path / "whole.npz", **{**weights, head: np.zeros((1, 64, 1, 1), np.int32)})
    np.savez(tmp_path / "more.npz", **weights, more=np.zeros(1))
    for name in ("huge", "whole", "more"):
        with pytest.raises(InputError, match="arrays that are no such set"):
            load_lpips(tmp_path / f"{name}.npz")
    for value in (np.nan, np.inf):
        np.savez(tmp_path / "nan.npz", **{**weights, bias: np.full_like(weights[bias], value)})
        with pytest.raises(InputError, match="nan.npz: expected finite.*features.0.bias holds NaN"):
            load_lpips(tmp_path / "nan.npz")


def packaged(model):
    """A model's weights as the package lpips names them, heads twice."""
    state = {"scaling_layer.shift": np.zeros(3)}
    for name, value in model.weights.items():
        if name.startswith("lin"):
            number = name[3]
            state[f"lin{number}.model.1.weight"] = value
            state[f"lins.{number}.model.1.weight"] = value
        else:
            state[name.replace("features", "net.slice2")] = value
    return state


@pytest.mark.parametrize("network", list(NETWORKS))
def test_the_packages_weights_become_a_file_that_loads(network, tmp_path):
    model = random_model(network)
    weights = convert(network, packaged(model))
    np.savez(tmp_path / "weights.npz", **weights)
    loaded = load_lpips(tmp_path / "weights.npz")
    assert loaded.network == network and set(loaded.weights) == set(model.weights)
    for name, value in model.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], value)
    with pytest.raises(ValueError, match=network):
        convert(network, dict(list(packaged(model).items())[:-1]) | {"lin0.model.1.weight": 0})


def test_damaged_weights_of_the_package_are_refused_and_nothing_is_written(tmp_path, monkeypatch):
    broken = random_model("squeeze").weights["features.0.bias"] * np.nan

    def failing(**how):
        raise EOFError("Ran out of\ninput")

    def holding(value):
        state = packaged(random_model("squeeze")) | {"net.slice2.0.bias": value}
        return lambda **how: SimpleNamespace(state_dict=lambda: state)

    for make, words in (
        (failing, r"lpips cannot load its weights of squeeze \(EOFError: Ran out of input\)"),
        (holding(broken), "expected finite LPIPS weights, features.0.bias holds NaN"),
    ):
        monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=make))
        with pytest.raises(InputError, match=f"{words}.*downloaded again"):
            write_weights("squeeze", str(tmp_path / "a.npz"))
    assert not list(tmp_path.iterdir())


def test_the_command_without_the_package_says_what_to_install(tmp_path):
    (tmp_path / "shadow" / "lpips").mkdir(parents=True)
    (tmp_path / "shadow" / "lpips" / "__init__.py").write_text("raise ImportError('absent')")
    path = f"{tmp_path / 'shadow'}:{commands.ROOT}"
    done = commands.run("lpips_weights", f"--out={tmp_path / 'a.npz'}", env={"PYTHONPATH": path})
    assert done.returncode == 1 and "pip install lpips torchvision" in done.stderr
    assert not (tmp_path / "a.npz").exists()
