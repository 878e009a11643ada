"""Pictures, videos, meshes and the page."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.errors import StorageError
from jaxvsnerf.geometry.cameras import HALF_EXTENT, inverse_similarity
from jaxvsnerf.mesh.extract import extract_mesh
from jaxvsnerf.mesh.glb import srgb_to_linear, write_glb
from jaxvsnerf.mesh.lattice import mesh_points, sample_density
from jaxvsnerf.page.charts import Chart, Series, line_chart
from jaxvsnerf.page.report import Column, Comparison, Report, render_report
from jaxvsnerf.pictures.images import depth_picture, depth_range, side_by_side
from jaxvsnerf.pictures.video import write_mp4
from jaxvsnerf.rendering.grid import init_grid, lookup
from jaxvsnerf.rendering.images import Picture
from jaxvsnerf.run import asset as export
from jaxvsnerf.run.pictures import look
from jaxvsnerf.run.surface import _occupied
from jaxvsnerf.simulate.toy import toy_dataset
from jaxvsnerf.system.extras import check_extras, require
from jaxvsnerf.system.files import replacing
from jaxvsnerf.system.png import write_png
from jaxvsnerf.types import Similarity

trimesh = pytest.importorskip("trimesh")
HALF, SIDE = 0.5, 48
POINTS = mesh_points(SIDE, HALF)


def ball(center, radius, density=100.0):
    """A ball whose density falls to zero over a lattice cell at its surface."""
    distance = radius - np.linalg.norm(POINTS - np.asarray(center), axis=-1)
    return density * np.clip(distance / (2 * HALF / SIDE) + 0.5, 0, 1)


def as_trimesh(mesh):
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def test_a_ball_has_a_balls_area_and_volume_and_faces_outward():
    solid = np.where(ball((0.05, 0, -0.1), 0.3) >= 50, 1e3, 0.0)
    mesh = extract_mesh(solid, half_extent=HALF).mesh
    body = as_trimesh(mesh)
    assert body.is_watertight and body.euler_number == 2
    # 4 pi r^2 and 4/3 pi r^3; the lattice has 0.02 between points.
    assert body.area == pytest.approx(4 * np.pi * 0.3**2, rel=0.03)
    assert body.volume == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.03)
    np.testing.assert_allclose(body.vertices.mean(0), [0.05, 0, -0.1], atol=5e-3)
    outward = mesh.vertices - np.array([0.05, 0, -0.1])
    assert np.all(np.sum(outward * mesh.normals, -1) > 0)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=-1), 1, atol=1e-5)


def test_a_ring_keeps_its_hole():
    across = np.hypot(POINTS[..., 0], POINTS[..., 1]) - 0.3
    distance = 0.1 - np.hypot(across, POINTS[..., 2])
    density = 50 * np.clip(distance / 0.02 + 0.5, 0, 1)
    # Euler's number of a torus is 0.
    assert as_trimesh(extract_mesh(density, half_extent=HALF).mesh).euler_number == 0


def test_a_floater_goes_however_dense_it_is():
    density = np.maximum(ball((-0.15, 0, 0), 0.32), ball((0.35, 0.1, 0), 0.03, 900.0))
    found = extract_mesh(density, half_extent=HALF)
    assert found.floaters == 1 and found.mesh.vertices[:, 0].max() < 0.2


def test_a_body_that_leaves_the_cube_is_closed_at_its_border():
    mesh = extract_mesh(ball((0.5, 0, 0), 0.3), half_extent=HALF).mesh
    assert as_trimesh(mesh).is_watertight
    assert mesh.vertices[:, 0].max() < HALF + 2 * HALF / (SIDE - 1)


def test_an_empty_surface_says_which_level_would_give_one():
    density = ball((0, 0, 0), 0.3, 40.0)
    with pytest.raises(ValueError, match=r"from 0 to 40; level=(\S+) gives a surface") as error:
        extract_mesh(density, half_extent=HALF, level=1e3)
    level = float(str(error.value).split("level=")[1].split()[0])
    assert len(extract_mesh(density, half_extent=HALF, level=level).mesh.faces)
    with pytest.raises(ValueError, match="no surface at any level"):
        extract_mesh(np.zeros((8, 8, 8)), half_extent=HALF)
    with pytest.raises(ValueError, match="NaN"):
        extract_mesh(np.full((8, 8, 8), np.nan), half_extent=HALF)


def test_the_lattice_is_asked_only_where_it_is_occupied():
    asked = []

    def density(points):
        asked.append(len(points))
        return np.linalg.norm(points, axis=-1)

    occupied = np.zeros((6, 6, 6), bool)
    occupied[2:4, 2:4, 2:4] = True
    values = sample_density(density, 6, half_extent=0.5, occupied=occupied, chunk=5)
    expected = np.linalg.norm(mesh_points(6, 0.5), axis=-1) * occupied
    np.testing.assert_allclose(values, expected, atol=1e-6)
    assert asked == [5, 5]


def glb_attribute(data, name):
    """A float vertex attribute of a binary glTF: JSON chunk, then the buffer."""
    length = int.from_bytes(data[12:16], "little")
    document = json.loads(data[20 : 20 + length])
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"][name]]
    start = 28 + length + document["bufferViews"][accessor["bufferView"]].get("byteOffset", 0)
    values = np.frombuffer(data, "<f4", 3 * accessor["count"], start)
    return values.reshape(-1, 3)


def test_a_glb_opens_elsewhere_y_up_with_linear_colours(tmp_path):
    mesh = extract_mesh(ball((0.1, 0.0, 0.15), 0.2), half_extent=HALF).mesh
    mesh = mesh._replace(colors=np.broadcast_to(np.float32([1.0, 0.0, 0.5]), mesh.vertices.shape))
    write_glb(tmp_path / "mesh.glb", mesh)
    loaded = trimesh.load(tmp_path / "mesh.glb", force="mesh", process=False)
    assert len(loaded.faces) == len(mesh.faces) and loaded.volume > 0
    # x, y, z becomes x, z, -y.
    np.testing.assert_allclose(loaded.vertices.mean(0), [0.1, 0.15, 0.0], atol=5e-3)
    # 0.5 in sRGB is 0.2140 in linear light.
    assert srgb_to_linear(np.array([0.0, 0.5, 1.0])) == pytest.approx([0, 0.21404, 1], abs=1e-4)
    colors = glb_attribute((tmp_path / "mesh.glb").read_bytes(), "COLOR_0")
    np.testing.assert_allclose(colors, np.broadcast_to([1, 0, 0.21404], colors.shape), atol=1e-4)


def test_a_png_is_the_picture_and_a_failed_write_leaves_the_old_one(tmp_path):
    image = np.random.default_rng(0).uniform(size=(5, 7, 3))
    path = tmp_path / "a" / "x.png"
    write_png(path, image)
    np.testing.assert_allclose(np.asarray(Image.open(path)) / 255, image, atol=0.5 / 255 + 1e-6)
    with pytest.raises(ValueError, match="NaN"):
        write_png(path, image * np.nan)
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [p.name for p in path.parent.iterdir()] == ["x.png"]
    assert Image.open(path).size == (7, 5)


def test_pictures_side_by_side_share_the_tallest_height():
    row = side_by_side([np.zeros((10, 10, 3)), np.ones((20, 10))], gutter=2)
    assert row.shape == (20, 20 + 2 + 10, 3)


def test_depth_is_white_where_nothing_is_seen():
    distance, opacity = np.linspace(1, 2, 12).reshape(3, 4), np.ones((3, 4))
    opacity[0] = 0.0
    near, far = depth_range(distance, opacity)
    assert 1.3 < near < far <= 2
    picture = depth_picture(distance, opacity, near, far)
    np.testing.assert_array_equal(picture[0], 1)
    assert np.ptp(picture[1:], axis=(0, 1)).max() > 0.3


def test_a_video_has_its_frames_and_its_colours(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    colors = [(0.9, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.9)]
    frames = np.stack([np.full((33, 47, 3), color) for color in colors])  # odd sizes
    write_mp4(tmp_path / "x.mp4", frames, fps=5)
    reader = ffmpeg.read_frames(str(tmp_path / "x.mp4"))
    meta = next(reader)
    decoded = [np.frombuffer(f, np.uint8).reshape(*meta["size"][::-1], 3) for f in reader]
    assert meta["codec"] == "h264" and len(decoded) == 3
    for frame, color in zip(decoded, colors, strict=True):
        np.testing.assert_allclose(frame[10, 10] / 255, color, atol=0.06)


def test_the_page_is_one_file_that_fetches_nothing_and_escapes_names():
    image = np.full((8, 8, 3), 0.5)
    page = render_report(
        Report(
            title="<script>alert(1)</script>",
            inputs=[image],
            input_names=["000"],
            comparisons=[
                Comparison(
                    "views",
                    ["000"],
                    [Column("stage1", [image], ["20.00 dB"]), Column("truth", [None])],
                )
            ],
            charts=[Chart("loss", [Series("stage1", [1, 2, 3], [3.0, 2.0, 1.0])], log=True)],
            settings={"seed": 0, "data": {"path": "a & b"}},
            timing={"stage1": 3.0},
        )
    )
    assert "<script>" not in page and "&lt;script&gt;" in page and "a &amp; b" in page
    for reference in ("http://", "https://", 'src="/', "@import", "url("):
        assert reference not in page.replace("http://www.w3.org/2000/svg", ""), reference
    assert page.count("data:image/") >= 2 and "20.00 dB" in page


def test_a_chart_leaves_out_what_is_not_finite():
    svg = line_chart(Chart("loss", [Series("a", [1, 2, 3], [1.0, np.nan, 2.0])]))
    assert svg.startswith("<svg") and "nan" not in svg.lower()
    with pytest.raises(ValueError):
        line_chart(Chart("loss", [Series("a", [1, 2], [1.0])]))


def test_a_missing_extra_names_the_pip_line():
    with pytest.raises(ImportError, match=r"pip install 'jaxvsnerf\[export\]'"):
        require("jaxvsnerf_no_such_module")
    with pytest.raises(ImportError, match=r"jaxvsnerf\[export\]"):
        check_extras(("jaxvsnerf_no_such_module",))
    check_extras()


def test_a_mesh_goes_back_to_the_frame_its_poses_came_in():
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], np.float32)
    to_cube = Similarity(np.float32(0.25), turn, np.array([0.1, -0.2, 0.05], np.float32))
    mesh = extract_mesh(ball((0.1, 0.0, 0.15), 0.2), half_extent=HALF).mesh
    back = export._moved(mesh, inverse_similarity(to_cube))
    # x_cube = 0.25 Q x_source + b takes every vertex where it was, four times smaller.
    again = 0.25 * back.vertices @ turn.T + np.array([0.1, -0.2, 0.05])
    np.testing.assert_allclose(again, mesh.vertices, atol=1e-5)
    np.testing.assert_allclose(back.normals @ turn.T, mesh.normals, atol=1e-5)
    assert as_trimesh(back).volume == pytest.approx(as_trimesh(mesh).volume * 4**3, rel=1e-3)


def test_the_mesh_asks_wherever_the_support_has_a_lattice_point():
    support = np.random.default_rng(0).random((6, 6, 6)) < 0.5
    grid = init_grid(support, 1.0, HALF_EXTENT)
    points = mesh_points(20, HALF_EXTENT)
    asked = _occupied(support, 20)
    # The lattice's last point lies on the border, where nothing exists any more.
    inner = (slice(0, 19),) * 3
    np.testing.assert_array_equal(asked[inner], lookup(grid, grid.support, points)[inner])


@pytest.mark.parametrize("size, renderings", [(16, 1), (32, 2)])
def test_inputs_are_shown_in_their_own_size_whatever_that_of_the_truth(size, renderings):
    dataset = toy_dataset(16, 4, "mild")
    truth = toy_dataset(size, 4, "clean").inputs
    asked = []

    class Gray:
        mode = "fused"

        def render(self, cameras):
            asked.append(cameras.width)
            shape = (len(cameras.w2c), cameras.height, cameras.width)
            return Picture(np.full((*shape, 3), 0.5), np.ones(shape), np.ones(shape))

    shown = look(dataset.replace(truth=truth), Gray())
    assert len(asked) == renderings and shown.truth.rgb.shape[1] == size
    assert shown.inputs.rgb.shape == (4, 16, 16, 3)
    # White backgrounds are half the range away from gray.
    assert shown.disagreement[0, 0, 0] == pytest.approx(0.5)


def test_a_video_that_could_not_be_written_is_named(tmp_path, monkeypatch):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nfor last; do :; done; echo "$last: disk full" >&2; exit 1\n')
    program.chmod(0o700)
    monkeypatch.setattr(ffmpeg, "get_ffmpeg_exe", lambda: str(program))
    path = tmp_path / "turntable.mp4"
    with pytest.raises(StorageError) as caught:
        write_mp4(path, [np.zeros((16, 16, 3), np.float32)])
    said = str(caught.value)
    assert said.startswith(f"{path}: no video written") and f"{path}: disk full" in said
    assert [one.name for one in tmp_path.iterdir()] == ["ffmpeg"]
