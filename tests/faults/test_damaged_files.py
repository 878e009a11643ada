"""Meshes and weights against seeded damage: the values that were written, or an error with a name.

Meshes and safetensors have no checksum: a place in range may be another. LPIPS archives have one
of each array and either load the very same arrays or are refused.
"""

import functools
import json
import logging
import re

import numpy as np
import pytest
import trimesh
from safetensors.numpy import save

from experiments.reliability.damage import JSON_KINDS, KINDS, damage, damage_json
from jaxvsnerf.data.meshes import read_surface
from jaxvsnerf.errors import InputError, MissingExtra
from jaxvsnerf.generation.state_files import State, _naming, read_state
from jaxvsnerf.metrics.lpips import load_lpips
from tests.generation import test_torchscript as scripts
from tests.metrics.test_lpips import random_model
from tests.refusals import refusals


@functools.cache
def mesh(kind):
    """A small ball as a file of a format."""
    ball = trimesh.creation.icosphere(1, 0.3)
    name, _, how = kind.partition(" ")
    more = {"encoding": how} if name == "ply" else {}
    data = ball.export(file_type=how if name == "stl" else name, **more)
    return data.encode() if isinstance(data, str) else data


@pytest.mark.parametrize(
    "kind", ["obj", "ply ascii", "ply binary", "glb", "off", "stl stl", "stl stl_ascii"]
)
def test_a_damaged_mesh_loads_or_is_refused_by_name(kind, tmp_path, caplog, recwarn):
    path = tmp_path / f"ball.{kind.split()[0]}"
    path.write_bytes(mesh(kind))
    refused, accepted = refusals(path, lambda: read_surface(path), damage, 60)
    assert refused > 20 and not caplog.records and not list(recwarn)
    for _, (vertices, faces) in accepted:
        assert np.isfinite(vertices).all() and vertices.shape[1] == faces.shape[1] == 3
        assert len(faces) and 0 <= faces.min() <= faces.max() < len(vertices)


CORNERS = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\n"


@pytest.mark.parametrize(
    "lines", ["f 0 1 2", "f 1 2 5", "f 1 2 3\nf 1 2", "f -5 1 2", "v 1 2\nf 1 2 3", "f 1/1 x 2"]
)
def test_lines_of_an_obj_file_that_trimesh_would_misread_are_refused(lines, tmp_path):
    (tmp_path / "a.obj").write_text(CORNERS + "f 1 2 3\n" + lines + "\n")
    with pytest.raises(InputError, match=r"a.obj, line \d: expected .* got '[fv] .*; export"):
        read_surface(tmp_path / "a.obj")


def test_an_obj_file_that_counts_backwards_or_goes_on_in_the_next_line_is_read(tmp_path):
    (tmp_path / "a.obj").write_bytes(f"{CORNERS}f -4 -3 \\\r\n -2\n\nf 2/1 3//1 4\n".encode())
    vertices, faces = read_surface(tmp_path / "a.obj")
    np.testing.assert_array_equal(vertices[faces[0]], [[0, 0, 0], [1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("kind", ["ply ascii", "off"])
def test_a_mesh_with_fewer_faces_than_its_head_says_is_refused(kind, tmp_path):
    path = tmp_path / f"ball.{kind.split()[0]}"
    path.write_bytes(b"\n".join(mesh(kind).splitlines()[:-3]) + b"\n")
    with pytest.raises(InputError, match=r"ball.*: expected the 80 faces that its head names, got"):
        read_surface(path)


def test_the_words_of_trimesh_come_back_after_a_mesh(tmp_path):
    (tmp_path / "a.obj").write_text(CORNERS + "f 1 2 3\n")
    before = logging.getLogger("trimesh.util").getEffectiveLevel()
    read_surface(tmp_path / "a.obj")
    assert logging.getLogger("trimesh.util").getEffectiveLevel() == before


def head_of_an_array(data, rng):
    """Damage to the head of one of the arrays in an archive, or to its directory."""
    places = [found.start() for found in re.finditer(b"\x93NUMPY", data)][:9]
    begin = (*places, data.index(b"PK\x01\x02"))[int(rng.integers(len(places) + 1))]
    name, part = damage(data[begin : begin + 128], rng)
    return name, data[:begin] + part + data[begin + 128 :]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_archive_of_lpips_loads_the_same_weights_or_is_refused(compressed, tmp_path):
    path, model = tmp_path / "w.npz", random_model("squeeze")
    (np.savez_compressed if compressed else np.savez)(path, **model.weights)
    for kind in (damage, head_of_an_array):
        refused, accepted = refusals(path, lambda: load_lpips(path), kind, 15)
        assert refused > 5
        for _, found in accepted:
            for name, value in model.weights.items():
                np.testing.assert_array_equal(found.weights[name], value)


def test_a_head_of_an_array_that_does_not_end_is_refused(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, **random_model("squeeze").weights)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"{'descr'", b"\xff'descr'", 1))
    with pytest.raises(InputError, match="w.npz: expected an .npz file of LPIPS weights, got"):
        load_lpips(path)


def directory(data, rng):
    """Damage to the directory of a zip file alone."""
    begin = data.index(b"PK\x01\x02")
    name, part = damage(data[begin:], rng)
    return name, data[:begin] + part


def read_arrays(path):
    """All arrays of a file of weights; None if PyTorch would be asked, which is absent."""
    try:
        return {name: np.array(value) for name, value in read_state(path).items()}
    except MissingExtra:
        return None


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("kind", [damage, directory])
def test_a_damaged_archive_of_pytorch_loads_or_is_refused_by_name(kind, tmp_path):
    program = scripts.module(flat=scripts.tensor((6,), (1,)))
    path = scripts.archive(tmp_path / "net.pt", program)
    refused, _ = refusals(path, lambda: read_arrays(path), kind, 150)
    assert refused > 50


def test_a_zip_file_of_a_later_version_is_refused_by_name(tmp_path):
    """zipfile raises NotImplementedError for it."""
    path = scripts.archive(tmp_path / "net.pt", scripts.module(flat=scripts.tensor((6,), (1,))))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 84
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"net.pt cannot be read \(zip file version 8.4\)"):
        read_state(path)


def test_an_array_that_its_reader_cannot_give_is_refused_by_name():
    def fail():
        raise TypeError("a sparse tensor\nhas no array")

    state = State(_naming("a.ckpt", {"w": fail, "b": lambda: np.ones(2)}))
    assert state["b"].sum() == 2
    with pytest.raises(InputError, match=r"a.ckpt cannot be read \(w: a sparse tensor\)"):
        state["w"]


def test_damaged_safetensors_load_or_are_refused_by_name(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(save({"a": np.arange(6.0).reshape(2, 3), "b": np.ones(40, np.float16)}))
    refused, _ = refusals(path, lambda: read_arrays(path), damage, 60)
    assert refused > 20


def test_damage_is_what_the_seed_says_and_leaves_its_input_alone():
    data = json.dumps({"a": [1, 2, {"b": "c"}], "d": None}).encode()
    for name, kind in {**KINDS, **JSON_KINDS}.items():
        for whole in (data, b"", bytes(range(256))):
            before = bytes(whole)
            made = [kind(whole, np.random.default_rng(3)) for _ in range(2)]
            assert made[0] == made[1] and whole == before, name
    changed = [damage_json(data, np.random.default_rng(seed))[1] for seed in range(100)]
    assert len(set(changed)) > 60 and changed.count(data) < 20
