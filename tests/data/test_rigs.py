"""data/rigs.py, sheets.py, video.py: the toy packed as each model packs its views, and loaded."""

import os

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data.rigs import NAMED_RIGS, complete_rig, rig_cameras
from jaxvsnerf.data.sheets import read_folder
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.geometry.hull import grid_centers, visual_hull
from jaxvsnerf.pictures.video import write_mp4
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.simulate.toy import render_toy
from jaxvsnerf.simulate.toy_object import toy_sdf

needs_data = pytest.mark.skipif(
    "JAXVSNERF_DATA" not in os.environ, reason="JAXVSNERF_DATA is not set"
)
SIZE = 48
GREY = np.full(3, 127 / 255, np.float32)
SIX = ("front", "front_right", "right", "back", "left", "front_left")
FOV49 = 2 * np.rad2deg(np.arctan(16 / 35))


def _uint8(images):
    return np.round(np.asarray(images) * 255).astype(np.uint8)


def _sheet(path, images, rows, columns):
    lines = [np.concatenate(images[k * columns : (k + 1) * columns], 1) for k in range(rows)]
    Image.fromarray(_uint8(np.concatenate(lines, 0))).save(path / "sheet.png")
    return path / "sheet.png"


def _files(path, images, names):
    for image, name in zip(images, names, strict=True):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_uint8(image)).save(path / name)
    return path


def _animation(path, images):
    first, *rest = (Image.fromarray(one) for one in _uint8(images))
    first.save(path / "sv3d.webp", save_all=True, append_images=rest, lossless=True)
    return path / "sv3d.webp"


# Rig -> what the user gives; azimuths, elevations, distance, angle of view (0: orthographic)
# as the model's authors say; background; how the model packs its views.
CASES = {
    "syncdreamer": (
        {},
        ([22.5 * k for k in range(16)], 30.0, 1.5, 2 * np.rad2deg(np.arctan(128 / 280))),
        np.ones(3),
        lambda path, images: _sheet(path, images, 1, 16),
    ),
    "zero123": (
        dict(azimuth_deg=(0, 90, 180), elevation_deg=(-5,), distance=1.5, input_elevation_deg=25),
        ([0, 90, 180], 20.0, 1.5, FOV49),
        np.ones(3),
        lambda path, images: _files(path, images, ["0.png", "1.png", "10.png"]),
    ),
    "zero123pp-v1.1": (
        dict(distance=1.4, fov_deg=FOV49),
        ([30, 90, 150, 210, 270, 330], [30, -20] * 3, 1.4, FOV49),
        GREY,
        lambda path, images: _sheet(path, images, 3, 2),
    ),
    "zero123pp-v1.2": (
        {},
        ([30, 90, 150, 210, 270, 330], [20, -10] * 3, 0.5 / np.tan(np.deg2rad(15)), 30.0),
        GREY,
        lambda path, images: _sheet(path, images, 3, 2),
    ),
    "wonder3d": (
        {},
        ([0, 45, 90, 180, -90, -45], 0.0, 1.5, 0.0),
        np.ones(3),
        lambda path, images: _files(path, images, [f"rgb_000_{view}.png" for view in SIX]),
    ),
    "era3d": (
        {},
        ([0, 45, 90, 180, -90, -45], 0.0, 1.5, 0.0),
        np.ones(3),
        lambda path, images: _files(path, images, [f"color_{view}_masked.png" for view in SIX]),
    ),
    "sv3d": (
        dict(distance=1.65, input_elevation_deg=12.0),
        ([360 / 21 * (k + 1) for k in range(20)] + [0.0], 12.0, 1.65, 33.8),
        np.ones(3),
        lambda path, images: write_mp4(path / "000000.mp4", images, 7) or path / "000000.mp4",
    ),
    "mvdream": (
        dict(distance=1.3, fov_deg=45.0),
        ([0, 90, 180, 270], 15.0, 1.3, 45.0),
        0.4 * np.ones(3),
        lambda path, images: _sheet(path, images, 1, 4),
    ),
    "sv3d-comfyui": (
        dict(distance=1.65, input_elevation_deg=10.0),
        ([18.0 * k % 360.0 for k in range(21)], 10.0, 1.65, 33.8),
        np.ones(3),
        _animation,
    ),
    "imagedream": (
        dict(distance=1.3, fov_deg=45.0),
        ([0, 90, 180, 270], 5.0, 1.3, 45.0),
        0.4 * np.ones(3),
        lambda path, images: _sheet(path, images, 1, 4),
    ),
    "grid:2x2": (
        dict(azimuth_deg=(0, 90, 180, 270), elevation_deg=(10,), distance=1.5, fov_deg=49.0),
        ([0, 90, 180, 270], 10.0, 1.5, 49.0),
        np.ones(3),
        lambda path, images: _sheet(path, images, 2, 2),
    ),
}


def test_every_named_rig_has_a_case():
    assert set(NAMED_RIGS) <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_toy_packed_as_the_model_does_loads_with_its_poses_and_pictures(name, tmp_path):
    given, (azimuth, elevation, distance, fov), background, pack = CASES[name]
    focal = SIZE if fov == 0 else 0.5 * SIZE / np.tan(np.deg2rad(fov / 2))
    cameras = orbit_cameras(azimuth, elevation, distance, focal, SIZE, SIZE, fov == 0)
    images, masks = render_toy(cameras, background, supersample=2)
    path = pack(tmp_path, images)
    views = load_dataset(DataSpec(kind="auto", path=str(path), rig=name, **given)).inputs
    np.testing.assert_allclose(views.cameras.w2c, cameras.w2c, atol=1e-6)
    np.testing.assert_allclose(views.cameras.intrinsics, cameras.intrinsics, rtol=1e-5)
    lossy = name == "sv3d"
    if lossy:  # colours of a video have half the resolution, brightness has all
        luma = np.abs((views.images - images) @ [0.2126, 0.7152, 0.0722])
        assert luma.mean((1, 2)).max() < 0.01
    else:
        np.testing.assert_allclose(views.images, images, atol=0.51 / 255)
    np.testing.assert_allclose(views.background, background, atol=0.01 if lossy else 0.51 / 255)
    # Masks from the background see what the object covers by more than a trace.
    agree = (views.masks > 0.5) == (masks > 0.1)
    assert agree.mean((1, 2)).min() > (0.93 if lossy else 0.98)


def test_wonder3ds_right_is_where_its_pose_files_put_it():
    # World-to-camera, OpenGL axes: fixed_poses/000_front_RT.txt and 000_right_RT.txt.
    front = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    right = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    flip = np.diag([1.0, -1.0, -1.0])
    w2c = rig_cameras(complete_rig("wonder3d"), 8, 8).w2c[:, :, :3]
    np.testing.assert_allclose(w2c[2] @ w2c[0].T, flip @ right @ front.T @ flip, atol=1e-6)


def test_wonder3ds_cut_out_pictures_are_preferred(tmp_path):
    opaque, cut = np.full((8, 8, 3), 0.5), np.full((8, 8, 4), 0.5)
    cut[..., 3] = 0.0
    cut[2:6, 2:6, 3] = 1.0
    _files(tmp_path, [opaque] * 6, [f"rgb_000_{view}.png" for view in SIX])
    _files(tmp_path, [cut] * 6, [f"masked_colors/rgb_000_{view}.png" for view in SIX])
    views = load_dataset(DataSpec(kind="auto", path=str(tmp_path), rig="wonder3d")).inputs
    np.testing.assert_allclose(views.masks, np.repeat(cut[None, ..., 3], 6, 0), atol=0.51 / 255)
    assert views.names == SIX


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("zero123", {}, "azimuth_deg must be given .* renders poses of the user's choice"),
        ("zero123pp-v1.1", {"distance": 1.2}, "fov_deg must be given .* never published"),
        ("zero123pp-v1.1", {"fov_deg": 49.13}, r"distance must be given .*\(1.09 here\)"),
        ("sv3d", {}, r"distance must be given .* never published the distance.* \(1.65 here\)"),
        ("sv3d", {"distance": 1.6}, "input_elevation_deg must be given .* only you can know"),
        ("mvdream", {"distance": 1.6}, "fov_deg must be given .* 15 to 60 degrees"),
        ("imagedream", {"fov_deg": 40.0}, "distance must be given"),
        ("grid:2x3", {}, "azimuth_deg must be given for rig 'grid:2x3': the rig has no numbers"),
        ("syncdreamer", {"input_elevation_deg": 9.0}, "input_elevation_deg has no use for rig"),
    ],
)
def test_a_number_that_nobody_published_is_asked_for(name, given, message):
    with pytest.raises(ValueError, match=message):
        complete_rig(name, **given)


def test_a_grid_must_have_as_many_places_as_angles():
    with pytest.raises(ValueError, match=r"has 2 x 3 views .* data.azimuth_deg has 4 angles"):
        complete_rig("grid:2x3", (0, 1, 2, 3), (0,), 1.5, 40.0)


def test_numbers_given_stand_above_the_rigs():
    rig = complete_rig("zero123pp-v1.2", distance=2.0, input_elevation_deg=10.0)
    assert (rig.distance, rig.fov_deg, rig.input_deg) == (2.0, 30.0, (0.0, 10.0))


def test_files_that_a_model_would_have_written_are_missed_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected color_front_masked and so on"):
        load_dataset(DataSpec(kind="folder", path=str(tmp_path), rig="era3d"))
    _files(tmp_path, [np.zeros((4, 4, 3))], ["color_front_masked.png"])
    with pytest.raises(FileNotFoundError, match="lacks the views front_right, right, back, left"):
        load_dataset(DataSpec(kind="folder", path=str(tmp_path), rig="era3d"))


def test_a_sheet_of_another_shape_is_refused(tmp_path):
    Image.new("RGB", (640, 900)).save(tmp_path / "sheet.png")
    spec = DataSpec(kind="strip", path=str(tmp_path / "sheet.png"), rig="zero123pp-v1.2")
    with pytest.raises(ValueError, match="640 x 900 .* 3 rows of 2 square views is 600 x 900"):
        load_dataset(spec)


def test_a_video_that_is_none_or_of_another_length_is_refused(tmp_path):
    spec = dict(kind="auto", rig="sv3d", distance=1.6, input_elevation_deg=0.0)
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match="cannot be decoded as an MP4"):
        load_dataset(DataSpec(path=str(tmp_path / "a.mp4"), **spec))
    for count, came in ((20, "has 20 frames"), (22, "has more than 21 frames")):
        write_mp4(tmp_path / "b.mp4", np.zeros((count, 16, 16, 3)), 7)
        with pytest.raises(ValueError, match=f"{came}, but the rig has 21 cameras"):
            load_dataset(DataSpec(path=str(tmp_path / "b.mp4"), **spec))


def test_parallel_silhouettes_carve_what_their_shadows_share_and_nothing_of_the_toy():
    size = 96
    cameras = rig_cameras(complete_rig("wonder3d"), size, size)
    _, masks = render_toy(cameras, supersample=1)
    cells = np.asarray(grid_centers(47, 0.5)).reshape(-1, 3)  # 47: no centre on a border of pixels
    hull = np.asarray(visual_hull(cells, cameras, masks))
    assert hull[np.asarray(toy_sdf(cells)) < -0.02].mean() > 0.999
    # A picture is one unit high: right is (-sin, cos, 0) of the azimuth, up is z.
    shared = np.ones(len(cells), bool)
    for mask, azimuth in zip(masks, np.deg2rad([0, 45, 90, 180, -90, -45]), strict=True):
        right = cells @ [-np.sin(azimuth), np.cos(azimuth), 0]
        column, row = (np.floor(size * (0.5 + one)).astype(int) for one in (right, -cells[:, 2]))
        seen = (column >= 0) & (column < size)  # outside a picture nothing is carved
        shared &= ~seen | (mask[row, column.clip(0, size - 1)] > 0.5)
    assert (hull == shared).mean() > 0.999


@needs_data
def test_the_real_zero123pp_sheet_gets_masks_of_the_object_alone():
    path = "zero123pp/chair/sheet.png"
    views = load_dataset(
        DataSpec(kind="auto", path=path, rig="zero123pp-v1.1", distance=1.2, fov_deg=49.13)
    ).inputs
    assert views.images.shape == (6, 320, 320, 3)
    np.testing.assert_allclose(views.background, GREY, atol=2 / 255)
    assert np.all((views.masks.mean((1, 2)) > 0.2) & (views.masks.mean((1, 2)) < 0.35))
    border = np.concatenate([views.masks[:, 0], views.masks[:, -1], views.masks[:, :, 0]], 1)
    assert not border.any()


def test_a_picture_without_a_number_among_numbered_views_is_refused(tmp_path):
    pictures = [np.zeros((4, 4, 3))] * 16
    names = [f"{view:03d}.png" for view in range(16) if view != 7]
    _files(tmp_path, pictures, [*names, "input.png"])
    with pytest.raises(InputError, match="'input' without a number"):
        read_folder(tmp_path, complete_rig("syncdreamer"))


@pytest.mark.parametrize("form", ["{:d}", "az{:d}", "view_{:+d}"])
def test_signed_numbers_in_names_are_refused_and_hyphens_are_not(form, tmp_path):
    pictures = [np.zeros((4, 4, 3))] * 16
    _files(tmp_path / "signed", pictures, [f"{form.format(k - 8)}.png" for k in range(16)])
    with pytest.raises(InputError, match="whose order is not clear"):
        read_folder(tmp_path / "signed", complete_rig("syncdreamer"))
    _files(tmp_path / "plain", pictures, [f"view-{k}.png" for k in range(16)])
    read_folder(tmp_path / "plain", complete_rig("syncdreamer"))
