"""Charts, textures, and the colours that pictures show on a surface."""

import numpy as np
import pytest

from jaxvsnerf.geometry.cameras import orbit_cameras, take
from jaxvsnerf.mesh.bake import bake_texture, paint_vertices
from jaxvsnerf.mesh.extract import Mesh, vertex_normals
from jaxvsnerf.mesh.project import Pictures, interpolate, paint_from_pictures
from jaxvsnerf.mesh.raster import Fragments, rasterize
from jaxvsnerf.mesh.unwrap import unwrap

trimesh = pytest.importorskip("trimesh")
RED = np.array([1.0, 0.0, 0.0])
CAMERAS = orbit_cameras([0, 60, 120, 180, 240, 300], 15, 1.5, 100, 96, 96)


def ball(center=(0.0, 0.0, 0.0), radius=0.3, subdivisions=4):
    body = trimesh.creation.icosphere(subdivisions, radius).apply_translation(center)
    vertices, faces = np.float32(body.vertices), np.int32(body.faces)
    return Mesh(vertices, faces, vertex_normals(vertices, faces))


def colour(points):
    """A smooth colour that differs everywhere and is never dark."""
    return 0.6 + 0.35 * np.sin(7.0 * points + [0.0, 1.0, 2.0])


@pytest.fixture(scope="module")
def baked():
    mesh = ball()
    return bake_texture(mesh, lambda at: colour(interpolate(mesh.vertices, mesh, at)), 256)


def texture_at(mesh, faces, weights):
    """Bilinear look-ups at points on faces, (0, 0) the upper left corner."""
    place = np.einsum("nk,nkc->nc", weights, mesh.uv[mesh.faces[faces]]) * len(mesh.texture) - 0.5
    place = np.clip(place, 0, len(mesh.texture) - 1.001)
    (x, y), (right, down) = place.astype(int).T, (place % 1).T[..., None]
    rows = [
        mesh.texture[y + i, x] * (1 - right) + mesh.texture[y + i, x + 1] * right for i in (0, 1)
    ]
    return rows[0] * (1 - down) + rows[1] * down


def test_a_pixel_belongs_to_the_triangles_that_cover_its_centre():
    corners = np.random.default_rng(0).uniform(-3, 13, (40, 3, 2))
    found = rasterize(corners, 9, 11)
    y, x = np.divmod(found.pixels, 11)
    centres = np.stack([x, y], -1) + 0.5
    # The weights rebuild the pixel's centre.
    rebuilt = np.einsum("nk,nkc->nc", found.weights, corners[found.faces])
    np.testing.assert_allclose(rebuilt, centres, atol=1e-9)
    expected = 0
    for triangle in corners:
        for px, py in np.ndindex(11, 9):
            p = np.array([px, py]) + 0.5
            signs = [
                (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])
                for a, b in zip(triangle, np.roll(triangle, -1, 0), strict=True)
            ]
            expected += all(s >= 0 for s in signs) or all(s <= 0 for s in signs)
    assert len(found.pixels) == expected


def test_triangles_without_area_and_outside_cover_nothing():
    corners = np.array([[[1, 1], [5, 5], [3, 3]], [[50, 50], [60, 50], [50, 60]]], float)
    assert not len(rasterize(corners, 8, 8).pixels)
    assert not len(rasterize(corners * np.nan, 8, 8).pixels)


def test_charts_do_not_overlap_and_cover_every_face():
    mesh = ball()
    charts = unwrap(mesh.vertices, mesh.faces, 256)
    np.testing.assert_array_equal(charts.source[charts.faces], mesh.faces)
    assert charts.uv.min() >= 0 and charts.uv.max() <= 1
    found = rasterize(charts.uv[charts.faces].astype(float) * 1024, 1024, 1024)
    inner = found.weights.min(1) > 1e-6
    assert len(np.unique(found.pixels[inner])) == inner.sum()
    assert len(np.unique(found.faces)) == len(mesh.faces)
    assert len(np.unique(found.pixels)) > 0.4 * 1024**2


def test_a_baked_texture_reproduces_the_colour_at_any_point(baked):
    rng = np.random.default_rng(1)
    faces = rng.integers(0, len(baked.faces), 5000)
    weights = rng.dirichlet((0.3, 0.3, 0.3), 5000)  # many near edges and so near the cuts
    points = np.einsum("nk,nkc->nc", weights, baked.vertices[baked.faces[faces]])
    error = np.abs(texture_at(baked, faces, weights) - colour(points))
    # The slope is at most 0.35 * 7 per unit; a texel is about 0.3 * sqrt(4 pi) / 200 wide.
    assert error.max() < 0.03 and error.mean() < 0.002


def test_no_texel_is_left_without_a_colour(baked):
    assert baked.texture.shape == (256, 256, 3) and baked.texture.min() > 0.2


def test_a_texture_keeps_the_surface_and_its_normals(baked):
    mesh = ball()
    np.testing.assert_array_equal(baked.vertices[baked.faces], mesh.vertices[mesh.faces])
    np.testing.assert_array_equal(baked.normals[baked.faces], mesh.normals[mesh.faces])


def test_vertices_take_the_colours_at_their_places():
    mesh = ball(subdivisions=2)
    painted = paint_vertices(mesh, lambda at: colour(interpolate(mesh.vertices, mesh, at)))
    np.testing.assert_allclose(painted.colors, colour(mesh.vertices), atol=1e-6)


def pictures(mesh, colors, cameras=CAMERAS):
    """What cameras of 96 x 96 pixels see of a coloured mesh on red, with 3 x 3 rays a pixel."""
    body = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    x, y = (np.meshgrid(*[(np.arange(96 * 3) + 0.5) / 3] * 2)[i].reshape(-1) for i in (0, 1))
    rgb, acc = [], []
    for k, w2c in zip(cameras.intrinsics, cameras.w2c, strict=True):
        turn, center = w2c[:, :3], -w2c[:, :3].T @ w2c[:, 3]
        rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(k).T @ turn
        face, ray, place = body.ray.intersects_id(
            np.broadcast_to(center, rays.shape), rays, multiple_hits=False, return_locations=True
        )
        picture, opacity = np.tile(RED, (len(rays), 1)), np.zeros(len(rays))
        picture[ray], opacity[ray] = colors(place), 1.0
        rgb.append(picture.reshape(96, 3, 96, 3, 3).mean((1, 3)))
        acc.append(opacity.reshape(96, 3, 96, 3).mean((1, 3)))
    return Pictures(np.float32(rgb), np.float32(acc), cameras)


def points_of(mesh):
    """Every face's middle."""
    return Fragments(
        np.arange(len(mesh.faces)), np.arange(len(mesh.faces)), np.full((len(mesh.faces), 3), 1 / 3)
    )


def test_pictures_give_back_the_colours_that_they_show():
    pytest.importorskip("embreex")
    mesh = ball()
    unseen = mesh._replace(colors=np.full(mesh.vertices.shape, 0.5, np.float32))
    paint = paint_from_pictures(unseen, [pictures(mesh, colour)], RED)
    places = interpolate(mesh.vertices, mesh, points_of(mesh))
    painted, height = paint(points_of(mesh)), places[:, 2] / 0.3
    # Cameras 15 degrees up see these at 45 degrees at least; the red behind does not show.
    ring = np.abs(height) < 0.4
    np.testing.assert_allclose(painted[ring], colour(places[ring]), atol=0.03)
    # The south pole is behind the horizon of all of them and keeps its own colour.
    assert np.abs(painted[height < -0.99] - 0.5).max() < 0.01


def test_what_stands_in_front_leaves_no_colour_on_what_is_behind():
    pytest.importorskip("embreex")
    front, back = ball((0.3, 0.0, 0.0), 0.1, 3), ball((-0.2, 0.0, 0.0), 0.25)
    mesh = Mesh(
        np.concatenate([front.vertices, back.vertices]),
        np.concatenate([front.faces, back.faces + len(front.vertices)]),
        np.concatenate([front.normals, back.normals]),
        np.full((len(front.vertices) + len(back.vertices), 3), 0.5, np.float32),
    )

    def colors(places):  # the front is black, the back is white
        return np.repeat((places[:, :1] < 0.15).astype(float), 3, axis=1)

    one = take(CAMERAS, [0])  # looks along -x
    paint = paint_from_pictures(mesh, [pictures(mesh, colors, one)], RED)
    painted = paint(points_of(mesh))[len(front.faces) :]
    # White where seen, its own grey where hidden, and nothing of the front's black.
    assert painted.min() > 0.45 and painted.max() > 0.97


def test_parallel_rays_project_without_perspective():
    pytest.importorskip("embreex")
    mesh = ball()._replace(colors=np.full((2562, 3), 0.5, np.float32))
    camera = take(CAMERAS, [0])
    # K[2, 2] = 0: pixels per unit of length, and depth does not matter.
    flat = camera.replace(intrinsics=camera.intrinsics.copy())
    flat.intrinsics[0, 2, 2] = 0.0
    y, x = np.mgrid[:96, :96] + 0.5
    picture = np.stack([x / 96, y / 96, 0 * x], -1)[None].astype(np.float32)
    paint = paint_from_pictures(mesh, [Pictures(picture, np.ones((1, 96, 96)), flat)], RED)
    places = interpolate(mesh.vertices, mesh, points_of(mesh))
    camera_frame = places @ camera.w2c[0, :, :3].T
    expected = (camera_frame[:, :2] * 100 + 48) / 96
    facing = camera_frame[:, 2] < -0.2
    np.testing.assert_allclose(paint(points_of(mesh))[facing, :2], expected[facing], atol=0.01)
