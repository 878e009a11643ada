"""transforms.json in its dialects, and the similarity found for them."""

import json
import os
import re

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.geometry.cameras import (
    inverse_similarity,
    orbit_cameras,
    transform_cameras,
    transform_points,
)
from jaxvsnerf.geometry.hull import dilate_masks, grid_centers, visual_hull
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.simulate.toy import render_toy
from jaxvsnerf.simulate.toy_object import toy_sdf
from tests.posed_files import (
    ELSEWHERE,
    FOCAL,
    HEIGHT,
    SHIFTED,
    WIDTH,
    assert_consistent,
    assert_fills_cube,
    c2w,
    save,
    tiny,
    write_blender,
    write_ngp,
)

needs_data = pytest.mark.skipif(
    "JAXVSNERF_DATA" not in os.environ, reason="JAXVSNERF_DATA is not set"
)


@pytest.fixture(scope="module")
def toy():
    """Non-square pictures of the toy from 12 cameras above and below the horizon."""
    elevation = [30.0, -20.0, 55.0, 5.0] * 3
    cameras = orbit_cameras([30.0 * k for k in range(12)], elevation, 1.5, FOCAL, WIDTH, HEIGHT)
    images, masks = render_toy(cameras)
    return cameras, images, masks


@pytest.mark.parametrize("similarity", [SHIFTED, ELSEWHERE], ids=["shifted", "rotated"])
def test_a_blender_scene_elsewhere_comes_back_into_the_cube(tmp_path, toy, similarity):
    write_blender(tmp_path, toy, similarity)
    data = load_dataset(DataSpec(kind="transforms", path=str(tmp_path)))
    assert_consistent(data, toy, similarity)
    assert_fills_cube(data, similarity)
    np.testing.assert_array_equal(data.to_cube.rotation, np.eye(3))
    np.testing.assert_allclose(data.inputs.images, toy[1], atol=1.5 / 255)
    np.testing.assert_allclose(data.inputs.masks, toy[2], atol=0.51 / 255)
    assert data.truth is None and data.clean is None
    assert data.inputs.names[:2] == ("r_0", "r_1")
    assert data.inputs.input_axis is None


def test_an_ngp_scene_elsewhere_comes_back_into_the_cube(tmp_path, toy):
    write_ngp(tmp_path, toy, ELSEWHERE)
    data = load_dataset(DataSpec(kind="transforms", path=str(tmp_path / "transforms.json")))
    assert_consistent(data, toy, ELSEWHERE)
    assert_fills_cube(data, ELSEWHERE)


def test_the_found_cubes_hull_holds_the_toy(tmp_path, toy):
    write_ngp(tmp_path, toy, SHIFTED)
    data = load_dataset(DataSpec(kind="transforms", path=str(tmp_path)))
    points = grid_centers(32, 0.5)
    masks = dilate_masks(data.inputs.masks, 1)
    hull = np.asarray(visual_hull(points, data.inputs.cameras, masks))
    back = transform_points(points, inverse_similarity(data.to_cube))
    inside = np.asarray(toy_sdf(transform_points(back, inverse_similarity(SHIFTED)))) < 0
    assert inside.sum() > 1000 and hull[inside].all()


def test_without_masks_the_smallest_half_frame_fills_the_cube(tmp_path, toy):
    write_ngp(tmp_path, toy, SHIFTED)
    data = load_dataset(DataSpec(kind="transforms", path=str(tmp_path), mask="none"))
    # All axes meet in the toy's origin, (0, 0.4, -0.3) in the file; the half frame there is
    # 24 px * (1.5 * 2.5) / 52 = 1.7308, which becomes 0.5.
    assert data.to_cube.scale == pytest.approx(0.5 / 1.7308, rel=1e-3)
    centre = transform_points(jnp.array([0.0, 0.4, -0.3]), data.to_cube)
    np.testing.assert_allclose(centre, 0.0, atol=1e-4)
    assert data.inputs.masks is None


def test_a_given_similarity_is_used_as_it_stands(tmp_path, toy):
    write_blender(tmp_path, toy, SHIFTED)
    # The inverse of x = 2.5 p + (0, 0.4, -0.3) is p = 0.4 x + (0, -0.16, 0.12).
    spec = DataSpec(kind="transforms", path=str(tmp_path), similarity=(0.4, 0.0, -0.16, 0.12))
    data = load_dataset(spec)
    np.testing.assert_allclose(data.inputs.cameras.w2c, toy[0].w2c, atol=1e-5)
    np.testing.assert_allclose(data.inputs.cameras.intrinsics, toy[0].intrinsics, rtol=1e-5)


@pytest.mark.parametrize("mask", ["auto", "none"])
def test_a_scene_far_out_gives_the_cube_cameras_of_the_scene_at_the_origin(tmp_path, toy, mask):
    scale, offset = 1.07, np.array([1.0e6, -3.0e5, 100.0])

    def load(folder, moved):
        meta = write_ngp(folder, toy)
        for frame in meta["frames"] if moved else ():
            # In float64: float32 knows a place at 1e6 to 0.03.
            pose = np.array(frame["transform_matrix"])
            pose[:3, 3] = scale * pose[:3, 3] + offset
            frame["transform_matrix"] = pose.tolist()
        (folder / "transforms.json").write_text(json.dumps(meta))
        return load_dataset(DataSpec(kind="transforms", path=str(folder), mask=mask))

    near, far = load(tmp_path / "near", False), load(tmp_path / "far", True)
    # float64 knows a place at 1e6 to 1e-10, and the hull, of cells in float32, is the same: what
    # is left are float32's roundings of lengths up to 1.5 sides of the cube.
    np.testing.assert_allclose(far.inputs.cameras.w2c, near.inputs.cameras.w2c, atol=1e-6)
    assert far.to_cube.scale * scale == pytest.approx(float(near.to_cube.scale), rel=1e-6)
    # The middle of the cube, found in the source's frame.
    middle, found = (
        transform_points(np.zeros(3), inverse_similarity(data.to_cube)) for data in (near, far)
    )
    np.testing.assert_allclose(found - offset, scale * middle, atol=1e-6)


def test_a_folder_takes_its_test_file_as_truth_and_the_same_similarity(tmp_path, toy):
    write_blender(tmp_path, toy, SHIFTED, "train", range(0, 12, 2))
    write_blender(tmp_path, toy, SHIFTED, "test", range(1, 12, 2))
    data = load_dataset(DataSpec(kind="transforms", path=str(tmp_path), views=(0, 2, 3, 5)))
    assert len(data.inputs.images) == 4 and len(data.truth.images) == 6
    moved = transform_cameras(transform_cameras(toy[0], SHIFTED), data.to_cube)
    np.testing.assert_allclose(data.truth.cameras.w2c, moved.w2c[1::2], atol=1e-4)
    np.testing.assert_allclose(data.inputs.cameras.w2c, moved.w2c[[0, 4, 6, 10]], atol=1e-4)
    train_only = DataSpec(kind="transforms", path=str(tmp_path / "transforms_train.json"))
    assert load_dataset(train_only).truth is None


def test_truth_may_be_named_and_have_another_size(tmp_path):
    spec = tiny(tmp_path / "a")
    cameras = orbit_cameras([10.0], 20.0, 4.0, 10.0, 8, 8)
    meta = {
        "fl_x": 10.0,
        "frames": [{"file_path": "t", "transform_matrix": c2w(cameras)[0].tolist()}],
    }
    save(tmp_path / "b" / "t.png", np.zeros((8, 8, 3)), np.eye(8))
    (tmp_path / "b" / "transforms.json").write_text(json.dumps(meta))
    data = load_dataset(
        DataSpec(kind="transforms", path=spec.path, truth=str(tmp_path / "b" / "transforms.json"))
    )
    assert data.truth.images.shape == (1, 8, 8, 3) and data.inputs.images.shape == (3, 12, 16, 3)


def test_nerfstudios_file_lists_hold_test_pictures_out(tmp_path):
    spec = tiny(tmp_path, train_filenames=["0.png", "1.png"], test_filenames=["2.png"])
    data = load_dataset(spec)
    assert data.inputs.names == ("0", "1") and data.truth.names == ("2",)


def test_intrinsics_of_a_frame_override_the_files(tmp_path):
    def change(meta):
        meta["frames"][1].update(fl_x=30.0, fl_y=31.0, cx=7.0, cy=5.0)

    k = load_dataset(tiny(tmp_path, change)).inputs.cameras.intrinsics
    np.testing.assert_allclose(k[0], [[20, 0, 8], [0, 20, 6], [0, 0, 1]])
    np.testing.assert_allclose(k[1], [[30, 0, 7], [0, 31, 5], [0, 0, 1]])


def test_angles_of_view_become_focal_lengths(tmp_path):
    def change(meta):
        del meta["fl_x"]

    angles = {"camera_angle_x": np.pi / 2, "camera_angle_y": 2 * np.arctan(0.25)}
    k = load_dataset(tiny(tmp_path, change, **angles)).inputs.cameras.intrinsics
    # 16 / 2 / tan(45 deg) = 8 and 12 / 2 / 0.25 = 24.
    np.testing.assert_allclose([k[0, 0, 0], k[0, 1, 1]], [8, 24], rtol=1e-6)


def test_mask_files_become_alpha(tmp_path):
    def change(meta):
        for k, frame in enumerate(meta["frames"]):
            frame["mask_path"] = f"m{k}.png"
            Image.new("RGB", (16, 12), (90, 90, 90)).save(tmp_path / f"{k}.png")
            mask = np.zeros((12, 16), np.uint8)
            mask[4:8, 5:10] = 255
            Image.fromarray(mask).save(tmp_path / f"m{k}.png")

    views = load_dataset(tiny(tmp_path, change)).inputs
    assert views.masks.sum() == 3 * 20
    np.testing.assert_allclose(views.images[0, 0, 0], 1.0)
    np.testing.assert_allclose(views.images[0, 5, 6], 90 / 255, rtol=1e-5)


def test_depth_paths_are_ignored(tmp_path):
    spec = tiny(tmp_path, lambda meta: meta["frames"][0].update(depth_file_path="gone.png"))
    assert len(load_dataset(spec).inputs.images) == 3


def test_pictures_of_a_real_background_load_without_masks(tmp_path):
    def change(meta):
        for k in range(3):
            noise = np.random.default_rng(k).integers(0, 255, (12, 16, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / f"{k}.png")

    assert load_dataset(tiny(tmp_path, change)).inputs.masks is None


def test_equal_stems_are_told_apart_by_their_folders(tmp_path):
    def change(meta):
        (tmp_path / "left").mkdir()
        (tmp_path / "0.png").rename(tmp_path / "left" / "1.png")
        meta["frames"][0]["file_path"] = "left/1.png"

    assert load_dataset(tiny(tmp_path, change)).inputs.names == ("left/1", "1", "2")


def test_a_slightly_inexact_rotation_is_made_exact(tmp_path):
    def change(meta):
        meta["frames"][0]["transform_matrix"][0][0] += 3e-4

    rotation = load_dataset(tiny(tmp_path, change)).inputs.cameras.w2c[0, :, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)


@needs_data
def test_lego_fills_the_cube():
    spec = DataSpec(
        kind="transforms",
        path="nerf_synthetic/lego400",
        views=tuple(range(0, 100, 10)),
        downscale=4,
    )
    data = load_dataset(spec)
    assert data.inputs.images.shape == (10, 100, 100, 3) and data.truth.images.shape[0] == 25
    # Lego is 2.3 long in Blender's units, so the scale is near 1 / 2.3 = 0.43.
    assert 0.40 < float(data.to_cube.scale) < 0.45
    # Its length is y: the hull of the truth's masks reaches both ends and not beyond.
    points = np.asarray(grid_centers(60, 0.6))
    hull = np.asarray(visual_hull(points, data.truth.cameras, data.truth.masks, extend=True))
    reach = np.abs(points[hull]).max(0)
    assert 0.44 < reach[1] < 0.53 and reach.max() == reach[1]
    assert re.fullmatch(r"r_\d+", data.inputs.names[3])
