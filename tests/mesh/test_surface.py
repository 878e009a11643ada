"""Fewer faces, closed surfaces, hollows filled."""

import numpy as np
import pytest

from jaxvsnerf.mesh.decimate import decimate
from jaxvsnerf.mesh.extract import extract_mesh
from jaxvsnerf.mesh.hollows import hidden_hollows
from jaxvsnerf.mesh.lattice import mesh_points
from jaxvsnerf.mesh.repair import close_surface

trimesh = pytest.importorskip("trimesh")
POINTS = mesh_points(49, 0.5)
CORNER, SPACING = POINTS[0, 0, 0], 1.0 / 48
RADIUS = np.linalg.norm(POINTS, axis=-1)
ACROSS = np.hypot(POINTS[..., 0], POINTS[..., 1])
FROM_ABOVE = np.array([[0.0, 0.0, 2.0]])
FROM_BESIDE = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])


def closed(vertices, faces):
    body = trimesh.Trimesh(vertices, faces, process=False)
    return body.is_watertight and body.is_winding_consistent


@pytest.mark.parametrize("budget", [4000, 500, 60])
def test_decimation_meets_the_budget_and_keeps_the_volume(budget):
    ball = trimesh.creation.icosphere(5, 0.4)
    vertices, faces, _ = decimate(ball.vertices, ball.faces, budget)
    assert 0.9 * budget < len(faces) <= budget and closed(vertices, faces)
    # A triangle of side s lies s^2 / (6 r) under a sphere in the mean; area is about 0.43 s^2.
    loss = 3 * (4 * np.pi / budget / 0.433) / 6
    volume = trimesh.Trimesh(vertices, faces, process=False).volume
    assert volume == pytest.approx(ball.volume, rel=loss)


def test_a_surface_within_the_budget_is_left_as_it_is():
    ball = trimesh.creation.icosphere(2)
    vertices, faces, _ = decimate(ball.vertices, ball.faces, len(ball.faces))
    assert vertices is ball.vertices and faces is ball.faces


def test_a_flat_sided_body_keeps_its_corners():
    box = trimesh.creation.box((0.4, 0.6, 0.8)).subdivide_loop(0).subdivide().subdivide()
    vertices, faces, _ = decimate(box.vertices, box.faces, 40)
    np.testing.assert_allclose(np.ptp(vertices, axis=0), [0.4, 0.6, 0.8], atol=1e-4)
    assert trimesh.Trimesh(vertices, faces).volume == pytest.approx(0.4 * 0.6 * 0.8, rel=1e-3)


def test_holes_are_filled_until_the_surface_is_watertight():
    ball = trimesh.creation.icosphere(4)
    # Away with every face that touches one of seven vertices, and with one alone.
    torn = ~np.isin(ball.faces, np.arange(0, 700, 100)).any(1)
    torn[2000] = False
    vertices, faces, holes = close_surface(ball.vertices, ball.faces[torn])
    assert not closed(ball.vertices, ball.faces[torn]) and closed(vertices, faces)
    assert holes == 8
    volume = trimesh.Trimesh(vertices, faces, process=False).volume
    assert volume == pytest.approx(ball.volume, rel=1e-3)
    again, same, none = close_surface(vertices, faces)
    np.testing.assert_array_equal(same, faces)
    assert none == 0 and len(again) == len(vertices)


def test_bodies_that_share_an_edge_or_a_vertex_are_closed_apart():
    box = trimesh.creation.box((1, 1, 1))
    for offset in ((1, 1, 0), (1, 1, 1)):
        both = trimesh.util.concatenate([box, box.copy().apply_translation(offset)])
        both.merge_vertices()
        vertices, faces, _ = close_surface(both.vertices, both.faces)
        # Also where a reader joins equal vertices, as trimesh does here.
        body = trimesh.Trimesh(vertices, faces)
        assert closed(vertices, faces) and body.is_watertight and body.body_count == 2


def test_faces_on_one_another_go():
    ball = trimesh.creation.icosphere(2)
    fin = [ball.faces[7][::-1], ball.faces[7], [3, 3, 5]]
    vertices, faces, _ = close_surface(ball.vertices, np.concatenate([ball.faces, fin]))
    assert closed(vertices, faces)


def test_a_hollow_behind_a_pinhole_is_filled_and_an_empty_outside_is_not():
    pinhole = (ACROSS < 0.03) & (POINTS[..., 2] > 0)
    solid = (RADIUS < 0.4) & (RADIUS > 0.2) & ~pinhole
    filled = hidden_hollows(solid, CORNER, SPACING, FROM_BESIDE)
    assert filled[RADIUS < 0.18].all() and not filled[RADIUS > 0.42].any()


@pytest.mark.parametrize(
    "solid",
    [
        (np.abs(RADIUS - 0.35) < 0.06) & (POINTS[..., 2] < 0.1),  # a bowl
        np.hypot(ACROSS - 0.3, POINTS[..., 2]) < 0.1,  # a ring
        (RADIUS < 0.4) & (np.abs(POINTS[..., 0]) > 0.05),  # two halves of a ball
    ],
)
def test_what_is_open_to_the_eye_stays_open(solid):
    assert not hidden_hollows(solid, CORNER, SPACING, FROM_ABOVE).any()


def test_a_tube_stays_open_where_cameras_look_through_it():
    tube = (ACROSS < 0.3) & (ACROSS > 0.08) & (np.abs(POINTS[..., 2]) < 0.45)
    inside = (ACROSS < 0.05) & (np.abs(POINTS[..., 2]) < 0.2)
    assert hidden_hollows(tube, CORNER, SPACING, FROM_BESIDE)[inside].all()
    assert not hidden_hollows(tube, CORNER, SPACING, FROM_ABOVE).any()


@pytest.mark.parametrize("reach", ["ball", "box"])
@pytest.mark.parametrize(
    "wall, resolution", [(0.023, 96), (0.017, 128), (0.012, 192), (0.01, 224), (0.01, 256)]
)
def test_a_closed_shell_is_filled_whatever_the_lattice(reach, wall, resolution):
    spacing = 1.2 / (resolution - 1)
    axes = np.ogrid[[slice(0, resolution)] * 3]
    x, y, z = (np.abs(index * spacing - 0.6) for index in axes)
    depth = np.sqrt(x * x + y * y + z * z) if reach == "ball" else np.maximum(np.maximum(x, y), z)
    # Walls of more than sqrt(3) cells: lattice points of a thinner one may leave a gap between
    # diagonal neighbours.
    assert wall > np.sqrt(3) * spacing
    solid = (depth < 0.55) & (depth > 0.55 - wall)
    azimuth = np.arange(16) * np.pi / 8
    around = np.stack([np.cos(azimuth), np.sin(azimuth), np.full(16, 0.6)], -1) * 1.3
    filled = hidden_hollows(solid, np.full(3, -0.6), spacing, around)
    # Blocks of two points a side that hold some of the wall are filled too, also outside it.
    outside = depth > 0.55 + np.sqrt(3) * spacing
    assert filled[depth <= 0.55 - wall].all() and not filled[outside].any()


@pytest.mark.parametrize("resolution", [49, 97, 193])
def test_a_wide_tube_is_looked_through_on_every_lattice(resolution):
    spacing = 1.0 / (resolution - 1)
    axes = np.ogrid[[slice(0, resolution)] * 3]
    x, y, z = (np.abs(index * spacing - 0.5) for index in axes)
    across = np.sqrt(x * x + y * y) + 0.0 * z
    tube = (across < 0.3) & (across > 0.08) & (z < 0.45)
    assert not hidden_hollows(tube, np.full(3, -0.5), spacing, FROM_ABOVE).any()


def test_an_extraction_counts_what_it_removed_and_filled():
    shell = 100.0 * ((RADIUS < 0.36) & (RADIUS > 0.15) & ~((ACROSS < 0.03) & (POINTS[..., 2] > 0)))
    for corner in (-21 * SPACING, 21 * SPACING):
        shell += 100.0 * (np.linalg.norm(POINTS - corner, axis=-1) < 0.03)
    found = extract_mesh(shell, half_extent=0.5, max_faces=800, viewpoints=FROM_BESIDE)
    body = trimesh.Trimesh(found.mesh.vertices, found.mesh.faces, process=False)
    assert found.floaters == 2 and len(body.faces) <= 800 and body.is_watertight
    assert body.volume == pytest.approx(4 / 3 * np.pi * 0.36**3, rel=0.06)
    assert found.hollow == pytest.approx(4 / 3 * np.pi * 0.15**3, rel=0.4)


def test_empty_space_around_a_body_changes_nothing():
    def found(resolution):
        points = mesh_points(resolution, (resolution - 1) / 100)
        density = 100.0 * ((np.linalg.norm(points - 0.01, axis=-1) < 0.1) & (points[..., 2] < 0.05))
        half = (resolution - 1) / 100
        return extract_mesh(density, half_extent=half, viewpoints=FROM_BESIDE).mesh

    tight, wide = found(25), found(45)
    np.testing.assert_allclose(tight.vertices, wide.vertices, atol=1e-6)
    np.testing.assert_array_equal(tight.faces, wide.faces)


def test_a_head_that_came_off_its_body_is_no_floater():
    density = 100.0 * (np.linalg.norm(POINTS - (0, 0, -0.2), axis=-1) < 0.25)
    density += 100.0 * (np.linalg.norm(POINTS - (0, 0, 0.3), axis=-1) < 0.12)
    found = extract_mesh(density, half_extent=0.5, max_faces=800)
    body = trimesh.Trimesh(found.mesh.vertices, found.mesh.faces, process=False)
    assert found.floaters == 0 and body.is_watertight and body.body_count == 2
    assert body.volume == pytest.approx(4 / 3 * np.pi * (0.25**3 + 0.12**3), rel=0.1)
