"""A signed distance from pictures to mesh, page and viewer, and beside everything else."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
import trimesh
from PIL import Image

from jaxvsnerf.config.check import check_config
from jaxvsnerf.config.load import read_config
from jaxvsnerf.config.names import find_config
from jaxvsnerf.data.rigs import complete_rig, rig_cameras
from jaxvsnerf.errors import InputError, Interrupted
from jaxvsnerf.run.job import train_run
from jaxvsnerf.run.saved import load_stages
from jaxvsnerf.run.surface import field_mesh
from jaxvsnerf.simulate.toy import render_toy
from jaxvsnerf.view.look import look_at_field, shown_of
from tests import commands

SETTINGS = {
    "field.decoder": "sdf",
    "field.pos_freqs": 3,
    "field.sdf.color_freqs": 2,
    "field.sdf.hull_steps": 100,
    "loss.terms.eikonal": 0.03,
    "loss.terms.roughness": 0.0,
}


def small_config(**settings):
    """The smoke config with a signed distance; a double underscore in a name means a dot."""
    config = read_config(find_config("smoke"))
    given = {name.replace("__", "."): value for name, value in settings.items()}
    config.update_from_flattened_dict({**SETTINGS, **given})
    return config


def last_field(folder):
    return list(load_stages(folder, last_only=True).values())[-1]


def flags(**more):
    """The settings as flags of a command."""
    return [f"--config.{name}={value}" for name, value in {**SETTINGS, **more}.items()]


@pytest.fixture(scope="module")
def run(shared_run):
    """A run of stage 1; the other stages are in the tests of training, and in the slow ones."""
    given = flags(**{"stage2.steps": 0, "stage3.steps": 0})
    return shared_run("surface", lambda f: ("train", *commands.train_arguments(f, *given)))


@pytest.mark.slow
def test_the_mesh_is_the_zero_set_with_the_fields_normals(run):
    facts = json.loads((run / "eval" / "mesh.json").read_text())
    assert facts["watertight"] and facts["level"] == 0.0
    assert "at distance 0" in (run / "stdout.txt").read_text()
    # glTF's y is up; the toy's cube is its own frame.
    turn = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
    points, normals = (one @ turn.T for one in read_attributes(run / "mesh.glb"))
    field, inside = last_field(run), np.abs(points).max(-1) < 0.55  # away from the cube's border
    # 500 faces are few: they cut corners by a part of the lattice's spacing.
    assert np.median(np.abs(field.surface(points[inside]))) < 0.5 * (1.2 / 23)
    np.testing.assert_allclose(field.normals(points[inside]), normals[inside], atol=1e-3)


@pytest.mark.slow
def test_a_level_of_density_is_refused_and_queries_need_no_direction(run):
    field = last_field(run)
    with pytest.raises(InputError, match="level: the surface of a signed distance lies at"):
        field_mesh(field, 3.0, 16)
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (50, 3)).astype(np.float32)
    density, rgb = field.query(points)
    directions = np.tile(np.float32([0, 0, 1]), (50, 1))
    directed, _ = field.query(points, directions)
    np.testing.assert_allclose(directed, density, rtol=1e-5)
    assert np.all(density >= 0) and np.any(density > 0)


def read_attributes(path):
    """Positions and normals of a GLB file as they are stored; trimesh makes normals anew."""
    data = path.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    document = json.loads(data[20 : 20 + length])
    for name in ("POSITION", "NORMAL"):
        index = document["meshes"][0]["primitives"][0]["attributes"][name]
        accessor = document["accessors"][index]
        start = document["bufferViews"][accessor["bufferView"]].get("byteOffset", 0)
        start += 28 + length + accessor.get("byteOffset", 0)
        stored = np.frombuffer(data, np.float32, 3 * accessor["count"], start)
        yield stored.reshape(-1, 3)


@pytest.mark.slow
def test_pictures_page_and_viewer_show_normals(run):
    with Image.open(next((run / "renders").glob("input_*.png"))) as row:
        # Input, truth, rendering, depth, opacity and normals.
        assert row.width == 6 * 24 + 5 * (row.width - 6 * 24) // 5
        normals = np.asarray(row)[:, -24:]
    assert normals.std(axis=(0, 1)).min() > 5
    assert "normals" in (run / "report.html").read_text()
    field = last_field(run)
    one = field.cameras.replace(intrinsics=field.cameras.intrinsics[:1], w2c=field.cameras.w2c[:1])
    assert "normals" in shown_of(field)
    picture, _ = look_at_field(field, field.mode, "normals", one)
    assert picture.shape == (24, 24, 3) and picture.min() >= 0 and picture.max() <= 1


@pytest.mark.slow
def test_every_mode_of_all_stages_answers_pictures_and_queries(tmp_path):
    field = trained(tmp_path / "run")
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (50, 3)).astype(np.float32)
    shapes = {}
    for mode in ("fused", "canonical", "nearest", "average"):
        own = replace(field, mode=mode)
        density, rgb = own.query(points)
        assert np.all(density >= 0) and rgb.shape == (50, 3)
        assert np.all(np.isfinite(own.render(field.cameras).rgb))
        shapes[mode] = own.surface(points)
    np.testing.assert_allclose(shapes["fused"], shapes["canonical"], atol=1e-5)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"field__decoder": "radiance"}, "loss.terms.eikonal: a signed distance has this term"),
        ({"mesh__level": 3.0}, "mesh.level: .* distance 0"),
        ({"field__sdf__beta": 0.0}, "field.sdf.beta: expected a number above 0"),
        ({"field__decoder": "mesh"}, "field.decoder: expected one of radiance, sdf"),
    ],
)
def test_settings_of_another_end_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        check_config(small_config(**settings))


def trained(folder, **settings):
    train_run(small_config(**settings), str(folder), say=lambda *line, **more: None)
    mesh = trimesh.load(folder / "mesh.glb", force="mesh")
    assert len(mesh.faces) > 0 and np.isfinite(mesh.vertices).all()
    assert (folder / "report.html").stat().st_size > 0
    return last_field(folder)


@pytest.mark.slow
def test_orthographic_pictures_of_a_rig(tmp_path):
    images, _ = render_toy(rig_cameras(complete_rig("wonder3d"), 24, 24))
    strip = np.uint8(255 * np.concatenate(list(np.asarray(images)), 1) + 0.5)
    Image.fromarray(strip).save(tmp_path / "strip.png")
    source = {"data__kind": "strip", "data__rig": "wonder3d"}
    trained(tmp_path / "run", data__path=str(tmp_path / "strip.png"), **source)


@pytest.mark.slow
def test_pictures_without_masks_start_from_the_sphere(tmp_path):
    field = trained(tmp_path / "run", data__mask="none", field__sdf__radius=0.2)
    assert np.all(field.grid.support)


@pytest.mark.slow
def test_hierarchical_sampling_bfloat16_colours_and_a_hash_grid(tmp_path):
    trained(tmp_path / "a", sampling__kind="hierarchical", field__dtype="bfloat16")
    trained(tmp_path / "b", field__encoding="hash", field__hash_grid__log2_size=8)


@pytest.mark.slow
def test_up_sampling_and_the_papers_loss(tmp_path):
    loss = {"loss__kind": "l1", "loss__terms__mask": 0.0, "loss__terms__mask_entropy": 0.1}
    trained(tmp_path / "run", sampling__kind="neus", stage2__steps=0, stage3__steps=0, **loss)


@pytest.mark.slow
def test_the_photo_is_one_more_view(tmp_path):
    size = 48
    images, masks = render_toy(rig_cameras(complete_rig("syncdreamer"), size, size))
    pixels = np.concatenate([np.asarray(images)[0], np.asarray(masks)[0][..., None]], -1)
    Image.fromarray(np.uint8(255 * pixels + 0.5)).save(tmp_path / "photo.png")
    photo = {"data__photo": str(tmp_path / "photo.png"), "data__input_elevation_deg": 30.0}
    field = trained(tmp_path / "run", **photo)
    assert len(field.cameras.w2c) == 5 and field.photo is not None


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path):
    trained(tmp_path / "whole")
    asked = iter([False] * 5 + [True] * 9)
    with pytest.raises(Interrupted):
        train_run(small_config(), str(tmp_path / "parts"), stop=lambda: next(asked))
    trained(tmp_path / "parts")
    whole, parts = (last_field(tmp_path / name).params for name in ("whole", "parts"))
    jax.tree.map(np.testing.assert_array_equal, whole, parts)


@pytest.mark.slow
def test_two_devices_train_what_one_trains(tmp_path):
    for count in (1, 2):
        env = commands.xla_flags(f"--xla_force_host_platform_device_count={count}")
        arguments = commands.train_arguments(tmp_path / str(count), *flags())
        done = commands.run("train", *arguments, env=env)
        assert done.returncode == 0, done.stderr
    one, two = (last_field(tmp_path / str(count)).params for count in (1, 2))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-3), one, two)
