"""Chamfer distance and volume IoU: what geometry says of known displacements."""

import numpy as np
import pytest

pytest.importorskip("igl", reason="libigl is absent: pip install '.[geometry]'")
pytest.importorskip("embreex", reason="embreex is absent: pip install '.[geometry]'")

import trimesh

from jaxvsnerf.data.meshes import read_surface
from jaxvsnerf.data.rigs import NAMED_RIGS, rig_cameras
from jaxvsnerf.metrics.geometry import (
    chamfer_distance,
    normal_error,
    score_geometry,
    visible_points,
    volume_iou,
)
from jaxvsnerf.types import Surface

CAMERAS = rig_cameras(NAMED_RIGS["syncdreamer"], 128, 128)


def sphere(radius):
    mesh = trimesh.creation.icosphere(5, radius)
    return Surface(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def box(side, shift=0.0):
    mesh = trimesh.creation.box((side, side, side))
    return Surface(np.asarray(mesh.vertices) + (shift, 0, 0), np.asarray(mesh.faces))


def test_a_surface_against_itself_is_0_and_1():
    assert score_geometry(sphere(0.4), sphere(0.4), CAMERAS) == {
        "chamfer": 0.0,
        "iou": 1.0,
        "normal_deg": pytest.approx(0.0, abs=0.1),
    }


def test_spheres_are_their_radii_apart():
    found = score_geometry(sphere(0.4), sphere(0.45), CAMERAS)
    # Seen from 16 sides, at a slightly different rim below, thinned to 0.01.
    assert found["chamfer"] == pytest.approx(0.05, rel=0.03)
    assert found["iou"] == pytest.approx((0.4 / 0.45) ** 3, rel=0.02)


@pytest.mark.parametrize("shift", [0.125, 0.25])
def test_a_shifted_box_overlaps_as_much_as_boxes_do(shift):
    # Sides and shifts are whole cells of 1/32: exact.
    expected = (0.75 - shift) / (0.75 + shift)
    assert volume_iou(box(0.75), box(0.75, shift)) == pytest.approx(expected)
    assert volume_iou(box(0.25), box(0.25, 0.5)) == 0.0


def test_normals_are_off_by_the_angle_between_planes():
    turn = np.deg2rad(20.0)
    points = np.random.default_rng(0).random((50, 3))
    up = np.tile([0.0, 0.0, 1.0], (50, 1))
    tilted = np.tile([0.0, np.sin(turn), np.cos(turn)], (50, 1))
    assert normal_error((points, up), (points[::-1], tilted)) == pytest.approx(20.0)
    # A box against a ball: the normal of a face against the direction from the middle.
    found = score_geometry(box(0.5), sphere(0.3), CAMERAS)
    assert 15 < found["normal_deg"] < 40


def test_chamfer_is_the_mean_of_both_directions():
    first, second = np.zeros((1, 3)), np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]])
    assert chamfer_distance(first, second) == pytest.approx((1 + (5 + 1) / 2) / 2)
    assert chamfer_distance(second, first) == chamfer_distance(first, second)


def test_only_what_is_seen_counts():
    points = visible_points(sphere(0.4), CAMERAS)
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), 0.4, atol=1e-3)
    # A camera 30 degrees up, 1.5 away, sees a sphere down to 30 + asin(0.4 / 1.5) - 90 = -44.5
    # degrees; the last pixel that meets it does so a few degrees before the rim.
    lowest = np.degrees(np.arcsin(points[:, 2].min() / 0.4))
    assert -44.6 < lowest < -40
    inner = sphere(0.2)
    both = Surface(
        np.concatenate([inner.vertices, sphere(0.4).vertices]),
        np.concatenate([inner.faces, sphere(0.4).faces + len(inner.vertices)]),
    )
    np.testing.assert_allclose(visible_points(both, CAMERAS), points, atol=1e-6)


def test_a_surface_that_nobody_sees_is_refused():
    with pytest.raises(ValueError, match="no ray meets"):
        visible_points(box(0.1, shift=9.0), CAMERAS)


def test_the_true_geometry_is_read_and_other_files_are_refused(tmp_path):
    surface = box(0.5)
    trimesh.Trimesh(*surface, process=False).export(tmp_path / "box.obj")
    read = read_surface(tmp_path / "box.obj")
    assert volume_iou(read, surface) == 1.0 and read.faces.shape == (12, 3)
    (tmp_path / "torn.ply").write_bytes(b"ply\nformat")
    (tmp_path / "empty.obj").write_text("# nothing")
    for name, message in (
        ("box.txt", "expected a mesh"),
        ("torn.ply", "torn"),
        ("empty.obj", "empty"),
    ):
        with pytest.raises(ValueError, match=message):
            read_surface(tmp_path / name)


def test_triangles_of_absent_vertices_are_refused_by_name(tmp_path):
    """In every format: trimesh itself looks at .obj and .off alone."""
    trimesh.creation.box().export(tmp_path / "box.glb")
    data = bytearray((tmp_path / "box.glb").read_bytes())
    begin = 20 + int.from_bytes(data[12:16], "little") + 8  # where the indices begin
    assert int.from_bytes(data[begin : begin + 4], "little") < 8
    data[begin : begin + 4] = (99).to_bytes(4, "little")
    (tmp_path / "box.glb").write_bytes(data)
    ply = trimesh.creation.box().export(file_type="ply", encoding="ascii").decode()
    (tmp_path / "box.ply").write_text(ply.replace("\n3 1 ", "\n3 8 "))
    (tmp_path / "box.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\nf 1 2 4\n")
    for name, message in (("glb", "expected triangles between the 8 vertices"), ("obj", "")):
        with pytest.raises(ValueError, match=f"box.{name}.*{message}"):
            read_surface(tmp_path / f"box.{name}")
    with pytest.raises(ValueError, match="box.ply: expected triangles between the 8 vertices"):
        read_surface(tmp_path / "box.ply")
