"""The files that leave: axes, colours, whole or not at all, and what a validator says."""

import json
import os
import shutil
import subprocess

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
