"""The asset of a run in every format, and what is said of it."""

import json

import numpy as np
import pytest
import trimesh

from experiments.assets import raycast
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.config.files import to_plain
from jaxvsnerf.geometry.cameras import (
    camera_centers,
    fit_cameras,
    identity_similarity,
    image_rays,
    join_cameras,
    orbit_cameras,
    take,
)
from jaxvsnerf.rendering.images import Picture
from jaxvsnerf.run.asset import export_run
from jaxvsnerf.run.scene_file import load_scene, save_scene
from jaxvsnerf.run.surface import texture_cameras
from jaxvsnerf.types import Dataset, Photo, Similarity, ViewSet

CENTER, RADIUS = np.array([0.1, -0.05, 0.0]), 0.3
TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], np.float32)


class BallField:
    """A field in closed form: a ball whose colour is that of its place."""

    grid, background, mode, photo = None, np.ones(3, np.float32), "fused", None
    level, outside = None, 0.0
    cameras = orbit_cameras([0, 72, 144, 216, 288], 20, 1.5, 52, 48, 48)

    def query(self, points, directions=None):
        depth = RADIUS - np.linalg.norm(points - CENTER, axis=-1)
        density = 400.0 / (1.0 + np.exp(np.clip(-200.0 * depth, -50, 50)))
        return density.astype(np.float32), np.clip(points + 0.5, 0, 1).astype(np.float32)

    def surface(self, points):
        return self.query(points)[0]

    def render(self, cameras):
        rgb, acc = [], []
        for view in range(len(cameras.w2c)):
            rays = image_rays(cameras, view)
            origins, looks = (
                np.asarray(a) - b for a, b in ((rays.origins, CENTER), (rays.viewdirs, 0))
            )
            along = -(origins * looks).sum(-1)
            inside = RADIUS**2 - (origins**2).sum(-1) + along**2
            places = origins + (along - np.sqrt(np.maximum(inside, 0)))[..., None] * looks + CENTER
            hit = inside > 0
            rgb.append(np.where(hit[..., None], np.clip(places + 0.5, 0, 1), 1.0))
            acc.append(hit.astype(np.float32))
        return Picture(np.float32(rgb), np.float32(acc), np.float32(acc))


@pytest.fixture
def folder(tmp_path):
    """What a run leaves before its export: settings and a scene of another frame."""
    config = default_config()
    config.mesh.update(resolution=40, faces=2000, texture=128)
    (tmp_path / "config.json").write_text(json.dumps(to_plain(config)))
    cameras = BallField.cameras
    views = ViewSet(np.ones((5, 48, 48, 3)), None, cameras, np.ones(3), tuple("abcde"))
    moved = Similarity(np.float32(0.5), TURN, np.array([0.1, 0.0, -0.1], np.float32))
    save_scene(tmp_path, Dataset(views, None, None, moved))
    return tmp_path


def test_a_run_leaves_a_textured_mesh_within_its_budget_and_says_so(run_folder):
    facts = json.loads((run_folder / "eval" / "mesh.json").read_text())
    mesh = trimesh.load(run_folder / "mesh.glb", force="mesh", process=False)
    assert mesh.visual.material.baseColorTexture.size == (64, 64)
    assert len(mesh.faces) == facts["faces"] <= 500 and facts["watertight"]
    assert facts["bytes"] == (run_folder / "mesh.glb").stat().st_size and facts["texture"] == 64
    said = next(x for x in (run_folder / "stdout.txt").read_text().splitlines() if "mesh:" in x)
    assert f"{facts['faces']} faces, watertight, texture 64" in said


@pytest.mark.parametrize("kind", ["glb", "obj", "ply"])
@pytest.mark.parametrize("frame", ["cube", "source"])
def test_every_format_holds_the_field_in_the_frame_asked_for(folder, kind, frame):
    said = []
    mesh = export_run(folder, BallField(), format=kind, frame=frame, say=said.append)
    body = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert body.is_watertight and len(mesh.faces) <= 2000
    assert body.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.03)
    facts = json.loads((folder / "eval" / "mesh.json").read_text())
    assert facts["file"] == f"mesh.{kind}" and facts["watertight"] and facts["euler"] == 2
    assert facts["texture"] == (0 if kind == "ply" else 128) and "watertight" in said[0]
    read = raycast.read_asset(folder / f"mesh.{kind}")
    np.testing.assert_allclose(read.bounds, facts["bounds"], atol=1e-5)
    # x_cube = 0.5 Q x_source + b.
    scale, turn, shift = 1.0, np.eye(3), np.zeros(3)
    if frame == "source":
        scale, turn, shift = (np.asarray(a) for a in _fields(load_scene(folder).to_cube))
    in_cube = scale * read.triangles_center @ turn.T + shift
    np.testing.assert_allclose(np.average(in_cube, 0, read.area_faces), CENTER, atol=0.005)
    colors = raycast.colors_at(read, np.arange(len(read.faces)), read.triangles_center)
    error = np.abs(colors - np.clip(in_cube + 0.5, 0, 1)).max(-1)
    # A pixel of 1.5 / 52 and the smoothed lattice of 0.03 are as coarse.
    assert error.mean() < 0.015 and np.quantile(error, 0.99) < 0.08


def _fields(similarity):
    return similarity.scale, similarity.rotation, similarity.translation


def test_vertex_colours_are_there_for_who_wants_them(folder):
    export_run(folder, BallField(), texture=0, faces=300, say=print)
    data = (folder / "mesh.glb").read_bytes()
    document = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    assert "COLOR_0" in document["meshes"][0]["primitives"][0]["attributes"]
    assert "images" not in document


def test_more_input_views_than_a_texture_needs_are_thinned(folder):
    asked = []

    class Many(BallField):
        cameras = orbit_cameras(np.arange(100) * 3.6, 20, 1.5, 52, 48, 48)

        def render(self, cameras):
            asked.append(len(cameras.w2c))
            return super().render(cameras)

    export_run(folder, Many(), faces=300, say=print)
    assert asked == [32]


# Of 160 x 120 pixels, more than thrice as fine as the views, and with the ball off the middle.
PHOTO_CAMERA = orbit_cameras([0], 20, 1.5, 170, 160, 120)
PHOTO_CAMERA.intrinsics[0, :2, 2] = (75.0, 66.0)


class PhotoField(BallField):
    """The ball as views from behind show it, and in inverted colours where the photo looks.

    Attributes:
      sizes: (V, width, height) of the pictures that were rendered.
    """

    def __init__(self, scene):
        self.cameras, self.photo, self.sizes = scene.cameras, scene.photo, []

    def render(self, cameras):
        self.sizes.append((len(cameras.w2c), cameras.width, cameras.height))
        shown = super().render(cameras)
        # The photo's camera is the only one on the side of +x.
        inverted = (camera_centers(cameras)[:, 0] > 0)[:, None, None] & (shown.acc > 0)
        return shown.replace(rgb=np.where(inverted[..., None], 1.0 - shown.rgb, shown.rgb))


@pytest.fixture
def photo_scene(folder):
    """The scene of a run with four views from behind and a photo from the front."""
    cameras = orbit_cameras([120, 160, 200, 240], 20, 1.5, 52, 48, 48)
    views = ViewSet(np.ones((4, 48, 48, 3)), None, cameras, np.ones(3), tuple("abcd"))
    photo = views.replace(cameras=PHOTO_CAMERA, images=np.ones((1, 120, 160, 3)), names=("photo",))
    data = Dataset(views, None, None, identity_similarity(), photo=Photo(photo, 1.0, 0.9, 20, 0.9))
    save_scene(folder, data)
    return load_scene(folder)


def test_the_texture_shows_the_photo_where_the_photo_alone_sees_the_surface(folder, photo_scene):
    field = PhotoField(photo_scene)
    export_run(folder, field, say=lambda line: None)
    assert field.sizes == [(4, 48, 48), (1, 160, 120)]
    read = raycast.read_asset(folder / "mesh.glb")
    places = read.triangles_center
    colors = raycast.colors_at(read, np.arange(len(read.faces)), places)
    own = np.clip(places + 0.5, 0, 1)

    def cosine(cameras):  # of the steepest look among some cameras, at each face
        looks = camera_centers(cameras)[:, None] - places
        looks /= np.linalg.norm(looks, axis=-1, keepdims=True)
        return (looks * (places - CENTER) / RADIUS).sum(-1).max(0)

    # A picture counts where it looks at a surface by a cosine of more than 0.15.
    from_front, from_behind = cosine(PHOTO_CAMERA), cosine(take(photo_scene.cameras, range(4)))
    front, behind = (from_front > 0.4) & (from_behind < 0), (from_behind > 0.4) & (from_front < 0)
    assert front.sum() > 100 and behind.sum() > 100
    # The errors that the test above finds in a texture of this size.
    for seen, expected in ((front, 1.0 - own), (behind, own)):
        error = np.abs(colors - expected)[seen].max(-1)
        assert error.mean() < 0.03 and np.quantile(error, 0.95) < 0.08


def test_a_photo_is_always_among_the_pictures_of_a_texture_and_its_size_is_bounded():
    views = orbit_cameras(np.arange(100) * 3.6, 20, 1.5, 52, 48, 48)
    large = fit_cameras(PHOTO_CAMERA, 1024, 768)
    some, photo = texture_cameras(join_cameras(views, large), large)
    assert len(some.w2c) == 31 and len(photo.w2c) == 1
    np.testing.assert_array_equal(photo.w2c, PHOTO_CAMERA.w2c)
    # 1024 x 768 pixels are halved, and so is K.
    assert (photo.width, photo.height) == (512, 384)
    np.testing.assert_allclose(photo.intrinsics[0, :2], large.intrinsics[0, :2] / 2, rtol=1e-6)
    few = texture_cameras(views, None)
    assert [len(one.w2c) for one in few] == [32]


def test_contradicting_settings_are_refused_before_anything_is_made(folder):
    with pytest.raises(ValueError, match="--texture=0"):
        export_run(folder, None, format="ply", texture=64)
    with pytest.raises(ValueError, match="16 to 8192"):
        export_run(folder, None, texture=9000)
    assert not (folder / "eval").exists()
