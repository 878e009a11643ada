"""data/colmap.py: models of the toy as COLMAP writes them, text and binary."""

import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from jaxvsnerf.data.colmap import find_models
from jaxvsnerf.data.colmap_files import CAMERA_MODELS
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.geometry.cameras import orbit_cameras, transform_cameras
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.simulate.toy import render_toy
from tests.posed_files import (
    ELSEWHERE,
    FOCAL,
    HEIGHT,
    WIDTH,
    assert_consistent,
    assert_fills_cube,
    save,
)

PINHOLE = f"PINHOLE {WIDTH} {HEIGHT} {FOCAL} {FOCAL} {WIDTH / 2} {HEIGHT / 2}"


@pytest.fixture(scope="module")
def toy():
    azimuth = [30.0 * k for k in range(12)]
    cameras = orbit_cameras(azimuth, [30.0, -10.0] * 6, 1.5, FOCAL, WIDTH, HEIGHT)
    return cameras, *render_toy(cameras, supersample=2)


def write_model(folder, cameras, camera=PINHOLE, similarity=ELSEWHERE):
    """cameras.txt, images.txt and points3D.txt by the format's description."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cameras.txt").write_text(
        f"# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n1 {camera}\n"
    )
    lines = []
    for k, w2c in enumerate(np.asarray(transform_cameras(cameras, similarity).w2c)):
        x, y, z, w = Rotation.from_matrix(w2c[:, :3]).as_quat()
        numbers = " ".join(map(repr, map(float, (w, x, y, z, *w2c[:, 3]))))
        lines.append(f"{k + 1} {numbers} 1 view_{k}.png\n\n")
    (folder / "images.txt").write_text("".join(lines))
    (folder / "points3D.txt").write_text("")


def write_binary(model):
    """Turns the text files of a model into binary files; each picture has two points."""
    numbers = {name: number for number, (name, _) in CAMERA_MODELS.items()}
    cameras = [line.split() for line in lines_of(model / "cameras.txt")]
    images = [line.split(maxsplit=9) for line in lines_of(model / "images.txt")]
    (model / "cameras.bin").write_bytes(
        struct.pack("<Q", len(cameras))
        + b"".join(
            struct.pack("<IiQQ", int(key), numbers[name], int(width), int(height))
            + struct.pack(f"<{len(values)}d", *map(float, values))
            for key, name, width, height, *values in cameras
        )
    )
    points = struct.pack("<Q", 2) + 2 * struct.pack("<ddq", 1.0, 2.0, -1)
    (model / "images.bin").write_bytes(
        struct.pack("<Q", len(images))
        + b"".join(
            struct.pack("<I7dI", int(key), *map(float, pose), int(camera))
            + name.encode()
            + b"\0"
            + points
            for key, *pose, camera, name in images
        )
    )
    for path in model.glob("*.txt"):
        path.unlink()


def lines_of(path):
    return [line for line in path.read_text().splitlines() if line and line[0] != "#"]


def write_project(folder, toy):
    cameras, images, masks = toy
    write_model(folder / "sparse" / "0", cameras)
    for k in range(len(images)):
        save(folder / "images" / f"view_{k}.png", images[k], masks[k])
    return folder / "sparse" / "0"


@pytest.mark.parametrize("form", ["text", "binary"])
def test_a_model_loads_with_its_poses_and_pictures(form, toy, tmp_path):
    model = write_project(tmp_path, toy)
    if form == "binary":
        write_binary(model)
        # Points are not read, whatever they claim.
        (model / "points3D.bin").write_bytes(struct.pack("<Q", 2**62))
    data = load_dataset(DataSpec(kind="auto", path=str(tmp_path)))
    # Natural order: view_10 is not the second.
    np.testing.assert_allclose(data.inputs.images, toy[1], atol=2 / 255)
    assert data.inputs.names[2] == "view_2"
    assert_consistent(data, toy, ELSEWHERE)
    assert_fills_cube(data, ELSEWHERE)


def test_the_models_own_folder_serves_as_well_and_views_are_chosen(toy, tmp_path):
    model = write_project(tmp_path, toy)
    spec = DataSpec(kind="colmap", path=str(model), views=(4, 0, 7))
    assert load_dataset(spec).inputs.names == ("view_4", "view_0", "view_7")


@pytest.mark.parametrize("name", ["view_{}.png.png", "view_{}.png"])
def test_masks_beside_the_pictures_are_used(name, toy, tmp_path):
    write_project(tmp_path, toy)
    smaller = np.zeros((HEIGHT, WIDTH))
    smaller[20:28, 28:36] = 1.0
    for k in range(12):
        path = tmp_path / "masks" / name.format(k)
        save(path, np.repeat(smaller[..., None], 3, -1), np.ones((HEIGHT, WIDTH)))
    spec = DataSpec(kind="colmap", path=str(tmp_path), similarity=(1.0, 0, 0, 0))
    np.testing.assert_allclose(load_dataset(spec).inputs.masks, toy[2] * smaller, atol=2 / 255)


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ("OPENCV 64 48 52 52 32 24 0.1 0 0 0", "OPENCV, has lens distortion k1=0.1, which is not"),
        ("SIMPLE_RADIAL 64 48 52 32 24 -0.02", "SIMPLE_RADIAL, has lens .* k=-0.02, .*undistort"),
        ("OPENCV_FISHEYE 64 48 52 52 32 24 0 0 0 0", "a camera OPENCV_FISHEYE, which is not"),
        ("PINHOLE 32 48 52 52 32 24", "says w=32, h=48, but the picture is 64 x 48"),
        ("NONSENSE 64 48 52", "is not a readable COLMAP model"),
    ],
)
def test_a_camera_that_is_no_pinhole_is_refused_by_name(camera, message, toy, tmp_path):
    model = write_project(tmp_path, toy)
    write_model(model, toy[0], camera)
    with pytest.raises(ValueError, match=message):
        load_dataset(DataSpec(kind="auto", path=str(tmp_path)))


def test_a_simple_pinhole_and_a_distortion_that_moves_nothing_are_taken(toy, tmp_path):
    model = write_project(tmp_path, toy)
    for camera in ("SIMPLE_PINHOLE 64 48 52 32 24", "OPENCV 64 48 52 52 32 24 1e-5 0 0 1e-6"):
        write_model(model, toy[0], camera)
        assert_consistent(load_dataset(DataSpec(kind="auto", path=str(tmp_path))), toy, ELSEWHERE)


def test_a_damaged_model_and_missing_pictures_are_said(toy, tmp_path):
    model = write_project(tmp_path, toy)
    write_binary(model)
    whole = (model / "images.bin").read_bytes()
    (model / "images.bin").write_bytes(whole[:100])
    with pytest.raises(ValueError, match="images.bin is not a readable COLMAP model"):
        load_dataset(DataSpec(kind="auto", path=str(tmp_path)))
    (model / "images.bin").write_bytes(whole)
    (tmp_path / "images" / "view_3.png").unlink()
    with pytest.raises(FileNotFoundError, match="view_3.png of .*: no picture at"):
        load_dataset(DataSpec(kind="auto", path=str(tmp_path)))
    with pytest.raises(FileNotFoundError, match="no COLMAP model in .*expected cameras.bin"):
        load_dataset(DataSpec(kind="colmap", path=str(tmp_path / "images")))
    assert find_models(tmp_path / "images") == []
