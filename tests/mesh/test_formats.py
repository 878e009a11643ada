"""The files that leave: axes, colours, whole or not at all, and what a validator says."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from experiments.assets import raycast
from jaxvsnerf.mesh import obj
from jaxvsnerf.mesh.bake import bake_texture
from jaxvsnerf.mesh.extract import Mesh, vertex_normals
from jaxvsnerf.mesh.glb import write_glb
from jaxvsnerf.mesh.obj import write_obj
from jaxvsnerf.mesh.ply import write_ply
from jaxvsnerf.mesh.project import interpolate

trimesh = pytest.importorskip("trimesh")
WRITERS = {"glb": write_glb, "obj": write_obj, "ply": write_ply}
# Longest along x, a leg down -z at -x, a nose towards -y at +x: no symmetry is left.
PARTS = [
    ((0.8, 0.2, 0.2), (0.0, 0.0, 0.0)),
    ((0.1, 0.1, 0.3), (-0.3, 0.0, -0.2)),
    ((0.1, 0.2, 0.1), (0.3, -0.15, 0.0)),
]
BOUNDS = np.array([[-0.4, -0.25, -0.35], [0.4, 0.1, 0.1]])


def colour(points):
    """x, y, z as red, green, blue."""
    return np.clip(points + 0.5, 0.0, 1.0).astype(np.float32)


@pytest.fixture(scope="module")
def plain():
    boxes = [trimesh.creation.box(size).apply_translation(at) for size, at in PARTS]
    body = trimesh.util.concatenate(boxes).subdivide().subdivide()
    vertices, faces = np.float32(body.vertices), np.int32(body.faces)
    return Mesh(vertices, faces, vertex_normals(vertices, faces), colour(vertices))


@pytest.fixture(scope="module")
def textured(plain):
    return bake_texture(plain, lambda at: colour(interpolate(plain.vertices, plain, at)), 256)


@pytest.mark.parametrize("kind, with_texture", [("glb", 1), ("obj", 1), ("obj", 0), ("ply", 0)])
def test_an_object_comes_out_right_way_up_and_in_its_colours(
    plain, textured, tmp_path, kind, with_texture
):
    path = tmp_path / f"mesh.{kind}"
    WRITERS[kind](path, textured if with_texture else plain)
    raw = trimesh.load(path, force="mesh", process=False)
    # glTF and what reads .obj have y up: (x, y, z) stands there as (x, z, -y). PLY has z up.
    low, high = BOUNDS
    if kind != "ply":
        low, high = (low[0], low[2], -high[1]), (high[0], high[2], -low[1])
    np.testing.assert_allclose(raw.bounds, [low, high], atol=1e-5)
    mesh = raycast.read_asset(path)
    np.testing.assert_allclose(mesh.bounds, BOUNDS, atol=1e-5)
    assert mesh.volume == pytest.approx(sum(np.prod(size) for size, _ in PARTS), rel=1e-4)
    outward = np.einsum("ij,ij->i", mesh.vertex_normals[mesh.faces[:, 0]], mesh.face_normals)
    assert outward.min() > 0.3
    faces = np.arange(len(mesh.faces))
    assert mesh.visual.kind == ("texture" if with_texture else "vertex")
    seen = raycast.colors_at(mesh, faces, mesh.triangles_center)
    # 8 bits, and half a texel of a cut's other side.
    np.testing.assert_allclose(seen, colour(mesh.triangles_center), atol=0.02)


def test_an_obj_stays_closed_across_the_cuts_of_its_texture(tmp_path):
    ball = trimesh.creation.icosphere(2, 0.3)
    vertices, faces = np.float32(ball.vertices), np.int32(ball.faces)
    mesh = Mesh(vertices, faces, vertex_normals(vertices, faces))
    mesh = bake_texture(mesh, lambda at: np.full((len(at.faces), 3), 0.5), 64)
    assert len(mesh.vertices) > len(vertices)
    write_obj(tmp_path / "a.obj", mesh)
    lines = (tmp_path / "a.obj").read_text().splitlines()
    assert sum(line.startswith("v ") for line in lines) == len(vertices)
    corners = [[int(c.split("/")[0]) - 1 for c in x.split()[1:]] for x in lines if x[:2] == "f "]
    assert trimesh.Trimesh(vertices, corners, process=False).is_watertight


def test_an_obj_names_its_files_and_is_written_with_them_or_not_at_all(
    textured, tmp_path, monkeypatch
):
    write_obj(tmp_path / "mesh.obj", textured)
    assert "mtllib mesh.mtl\n" in (tmp_path / "mesh.obj").read_text()
    assert "map_Kd mesh.png\n" in (tmp_path / "mesh.mtl").read_text()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"mesh.obj", "mesh.mtl", "mesh.png"}

    def full_disk(_):
        raise OSError("no space left")

    monkeypatch.setattr(obj, "png_bytes", full_disk)
    with pytest.raises(OSError):
        write_obj(tmp_path / "mesh.obj", textured._replace(texture=1 - textured.texture))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


class Killed(BaseException):
    """Nothing handles it, and nothing is cleared away after it."""


def read_set(folder):
    """The first corner of a mesh.obj and the texture that it names, by way of its material."""
    lines = (folder / "mesh.obj").read_text().splitlines()
    corner = next(line for line in lines if line.startswith("v "))
    material = next((line.split()[1] for line in lines if line.startswith("mtllib ")), None)
    if material is None:
        return corner, None
    (picture,) = (
        line.split()[1]
        for line in (folder / material).read_text().splitlines()
        if line.startswith("map_Kd ")
    )
    return corner, (folder / picture).read_bytes()


@pytest.mark.parametrize("exports", [1, 2])
def test_an_obj_has_its_own_texture_at_whatever_moment_it_is_killed(
    textured, tmp_path, monkeypatch, exports
):
    meshes = [
        textured._replace(vertices=textured.vertices + shift, texture=shift * textured.texture)
        for shift in (0.25, 0.5, 0.75)
    ]
    whole = []
    for index, mesh in enumerate(meshes):
        write_obj(tmp_path / str(index) / "mesh.obj", mesh)
        whole.append(read_set(tmp_path / str(index)))
    assert len(set(whole)) == 3
    old, new = whole[exports - 1], whole[exports]
    seen = []
    for moment in range(20):
        folder = tmp_path / f"killed-{moment}"
        for mesh in meshes[:exports]:
            write_obj(folder / "mesh.obj", mesh)
        with monkeypatch.context() as patch:
            killing_at(moment, patch)
            try:
                write_obj(folder / "mesh.obj", meshes[exports])
                break
            except Killed:
                seen.append(read_set(folder))
        # What was left keeps the next export from nothing.
        write_obj(folder / "mesh.obj", meshes[0])
        assert read_set(folder) == whole[0] and len(list(folder.iterdir())) == 3
    assert set(seen) == {old, new} and sorted(seen, key=[old, new].index) == seen
    assert read_set(folder) == new and len(list(folder.iterdir())) == 3


def killing_at(moment, patch):
    """The process dies before its n-th change of a file that others see."""
    left = [moment]

    def dying(change):
        def changed(*args, **kwargs):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return change(*args, **kwargs)

        return changed

    patch.setattr(os, "replace", dying(os.replace))
    patch.setattr(Path, "write_bytes", dying(Path.write_bytes))
    patch.setattr(Path, "unlink", dying(Path.unlink))


def test_an_export_leaves_no_older_companion_and_no_file_of_others(textured, plain, tmp_path):
    def names():
        return sorted(path.name for path in tmp_path.iterdir())

    (tmp_path / "mesh.mtl").write_text("another's")
    write_obj(tmp_path / "mesh.obj", plain)
    assert names() == ["mesh.mtl", "mesh.obj"]
    both = (
        ["mesh.mtl", "mesh.obj", "mesh.png"],
        [*("mesh-alternate.mtl", "mesh-alternate.png", "mesh.obj")],
    )
    for expected in (*both, *both):
        write_obj(tmp_path / "mesh.obj", textured)
        assert names() == expected
    write_obj(tmp_path / "mesh.obj", plain)
    assert names() == ["mesh.obj"]


def test_what_a_format_cannot_hold_is_refused(plain, tmp_path):
    with pytest.raises(ValueError, match="vertex colours"):
        write_ply(tmp_path / "a.ply", plain._replace(colors=None))
    for write in WRITERS.values():
        with pytest.raises(ValueError, match="at least one face"):
            write(tmp_path / "a", plain._replace(faces=plain.faces[:0]))
    assert not list(tmp_path.iterdir())


VALIDATE = """
const validator = require('gltf-validator'), fs = require('fs');
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))
  .then(report => console.log(JSON.stringify(report.issues)));
"""


@pytest.fixture(scope="module")
def validate():
    """The Khronos validator's findings in a file; skipped where npm has not installed it."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("no node: Khronos' gltf-validator cannot run")
    root = subprocess.run(["npm", "root", "-g"], capture_output=True, text=True).stdout.strip()

    def issues(path):
        command = ["node", "-e", VALIDATE, str(path)]
        env = os.environ | {"NODE_PATH": root}
        done = subprocess.run(command, capture_output=True, text=True, env=env)
        if "Cannot find module" in done.stderr:
            pytest.skip("no gltf-validator: npm install -g gltf-validator adds it")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return issues


@pytest.mark.parametrize("kind", ["plain", "textured"])
def test_khronos_validator_finds_nothing_in_a_glb(kind, validate, tmp_path, request):
    write_glb(tmp_path / "mesh.glb", request.getfixturevalue(kind))
    assert validate(tmp_path / "mesh.glb")["messages"] == []
