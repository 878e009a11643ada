"""data/transforms.py, poses.py, similarity.py: captures in anybody's frame."""

import json
import os
import re

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data.load import DataSpec, load_dataset
from jaxvsnerf.data.toy import render_toy
from jaxvsnerf.data.toy_object import toy_sdf
from jaxvsnerf.geometry.cameras import (
    camera_centers,
    inverse_similarity,
    orbit_cameras,
    project,
    transform_cameras,
    transform_points,
)
from jaxvsnerf.geometry.hull import dilate_masks, grid_centers, visual_hull
from jaxvsnerf.types import Similarity

needs_data = pytest.mark.skipif(
    "JAXVSNERF_DATA" not in os.environ, reason="JAXVSNERF_DATA is not set"
)
WIDTH, HEIGHT, FOCAL = 64, 48, 52.0
TURN = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])  # a proper rotation
# The cube's frame -> a capture's frame.
ELSEWHERE = Similarity(np.float32(3.7), TURN, np.array([5.0, -2.0, 1.0]))
SHIFTED = Similarity(np.float32(2.5), np.eye(3), np.array([0.0, 0.4, -0.3]))


@pytest.fixture(scope="module")
def toy():
    """Non-square pictures of the toy from 12 cameras above and below the horizon."""
    elevation = [30.0, -20.0, 55.0, 5.0] * 3
    cameras = orbit_cameras([30.0 * k for k in range(12)], elevation, 1.5, FOCAL, WIDTH, HEIGHT)
    images, masks = render_toy(cameras)
    return cameras, images, masks


def _c2w(cameras):
    """[V, 4, 4] OpenGL camera-to-world, as these files write it."""
    w2c = np.tile(np.eye(4), (len(cameras.w2c), 1, 1))
    w2c[:, :3] = cameras.w2c
    return np.linalg.inv(w2c) @ np.diag([1.0, -1.0, -1.0, 1.0])


def _save(path, image, mask):
    """Straight alpha on white, undone: rgb = (image - (1 - a)) / a."""
    alpha = mask[..., None]
    rgb = np.where(alpha > 0, (image - (1 - alpha)) / np.maximum(alpha, 1e-6), 0).clip(0, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.round(np.concatenate([rgb, alpha], -1) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def _write_blender(folder, toy, similarity=None, split="train", index=range(12)):
    cameras, images, masks = toy
    moved = cameras if similarity is None else transform_cameras(cameras, similarity)
    poses = _c2w(moved)
    frames = []
    for k in index:
        _save(folder / split / f"r_{k}.png", images[k], masks[k])
        frames.append({"file_path": f"./{split}/r_{k}", "transform_matrix": poses[k].tolist()})
    meta = {"camera_angle_x": 2 * np.arctan(0.5 * WIDTH / FOCAL), "frames": frames}
    (folder / f"transforms_{split}.json").write_text(json.dumps(meta))
    return meta


def _write_ngp(folder, toy, similarity=None, **fields):
    cameras, images, masks = toy
    moved = cameras if similarity is None else transform_cameras(cameras, similarity)
    frames = []
    for k, pose in enumerate(_c2w(moved)):
        _save(folder / "images" / f"{k:04d}.png", images[k], masks[k])
        frames.append({"file_path": f"images/{k:04d}.png", "transform_matrix": pose.tolist()})
    meta = {
        "camera_model": "OPENCV",
        "fl_x": FOCAL,
        "fl_y": FOCAL,
        "cx": WIDTH / 2,
        "cy": HEIGHT / 2,
        "w": WIDTH,
        "h": HEIGHT,
        "k1": 0.0,
        "p1": 0,
        "aabb_scale": 4,
        "frames": frames,
    }
    meta.update(fields)
    (folder / "transforms.json").write_text(json.dumps(meta))
    return meta


def _tiny(folder, change=None, **fields):
    """Three small posed pictures; `change` edits the parsed file before it is written."""
    cameras = orbit_cameras([0.0, 90.0, 200.0], 20.0, 4.0, 20.0, 16, 12)
    frames = []
    for k, pose in enumerate(_c2w(cameras)):
        alpha = np.zeros((12, 16))
        alpha[3:9, 4:12] = 1.0
        _save(folder / f"{k}.png", np.full((12, 16, 3), 0.5), alpha)
        frames.append({"file_path": f"{k}.png", "transform_matrix": pose.tolist()})
    meta = {"fl_x": 20.0, "frames": frames, **fields}
    if change:
        change(meta)
    (folder / "transforms.json").write_text(json.dumps(meta))
    return DataSpec(kind="transforms", path=str(folder))


def _assert_consistent(data, toy, similarity):
    """Loaded cameras see points of the toy, carried into the cube, where they were drawn."""
    cameras = toy[0]
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (200, 3)).astype(np.float32)
    in_cube = transform_points(transform_points(points, similarity), data.to_cube)
    for k in range(len(cameras.w2c)):
        drawn, _ = project(cameras.intrinsics[k], cameras.w2c[k], points)
        loaded = data.inputs.cameras
        seen, _ = project(loaded.intrinsics[k], loaded.w2c[k], in_cube)
        np.testing.assert_allclose(seen, drawn, atol=2e-2)


def _assert_fills_cube(data, similarity):
    """The toy, carried into the cube, lies inside it and nearly fills it."""
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (60000, 3)).astype(np.float32)
    inside = points[np.asarray(toy_sdf(points)) < 0]
    in_cube = np.asarray(transform_points(transform_points(inside, similarity), data.to_cube))
    assert np.abs(in_cube).max() < 0.53
    assert np.ptp(in_cube, axis=0).max() > 0.85


@pytest.mark.parametrize("similarity", [SHIFTED, ELSEWHERE], ids=["shifted", "rotated"])
def test_a_blender_scene_elsewhere_comes_back_into_the_cube(tmp_path, toy, similarity):
    _write_blender(tmp_path, toy, similarity)
    data = load_dataset(DataSpec(kind="transforms", path=str(tmp_path)))
    _assert_consistent(data, toy, similarity)
    _assert_fills_cube(data, similarity)
    np.testing.assert_array_equal(data.to_cube.rotation, np.eye(3))
    np.testing.assert_allclose(data.inputs.images, toy[1], atol=1.5 / 255)
    np.testing.assert_allclose(data.inputs.masks, toy[2], atol=0.51 / 255)
    assert data.truth is None and data.clean is None
    assert data.inputs.names[:2] == ("r_0", "r_1")


def test_an_ngp_scene_elsewhere_comes_back_into_the_cube(tmp_path, toy):
    _write_ngp(tmp_path, toy, ELSEWHERE)
    data = load_dataset(DataSpec(kind="transforms", path=str(tmp_path / "transforms.json")))
    _assert_consistent(data, toy, ELSEWHERE)
    _assert_fills_cube(data, ELSEWHERE)


def test_the_found_cubes_hull_holds_the_toy(tmp_path, toy):
    _write_ngp(tmp_path, toy, SHIFTED)
    data = load_dataset(DataSpec(kind="transforms", path=str(tmp_path)))
    points = grid_centers(32, 0.5)
    masks = dilate_masks(data.inputs.masks, 1)
    hull = np.asarray(visual_hull(points, data.inputs.cameras, masks))
    back = transform_points(points, inverse_similarity(data.to_cube))
    inside = np.asarray(toy_sdf(transform_points(back, inverse_similarity(SHIFTED)))) < 0
    assert inside.sum() > 1000 and hull[inside].all()


def test_without_masks_the_smallest_half_frame_fills_the_cube(tmp_path, toy):
    _write_ngp(tmp_path, toy, SHIFTED)
    data = load_dataset(DataSpec(kind="transforms", path=str(tmp_path), mask="none"))
    # All axes meet in the toy's origin, (0, 0.4, -0.3) in the file; the half frame there is
    # 24 px * (1.5 * 2.5) / 52 = 1.7308, which becomes 0.5.
    assert data.to_cube.scale == pytest.approx(0.5 / 1.7308, rel=1e-3)
    centre = transform_points(jnp.array([0.0, 0.4, -0.3]), data.to_cube)
    np.testing.assert_allclose(centre, 0.0, atol=1e-4)
    assert data.inputs.masks is None


def test_a_given_similarity_is_used_as_it_stands(tmp_path, toy):
    _write_blender(tmp_path, toy, SHIFTED)
    # The inverse of x = 2.5 p + (0, 0.4, -0.3) is p = 0.4 x + (0, -0.16, 0.12).
    spec = DataSpec(kind="transforms", path=str(tmp_path), similarity=(0.4, 0.0, -0.16, 0.12))
    data = load_dataset(spec)
    np.testing.assert_allclose(data.inputs.cameras.w2c, toy[0].w2c, atol=1e-5)
    np.testing.assert_allclose(data.inputs.cameras.intrinsics, toy[0].intrinsics, rtol=1e-5)


def test_a_frame_far_from_the_origin_keeps_its_precision(tmp_path, toy):
    far = Similarity(np.float64(1.0), np.eye(3), np.array([4.0e5, -3.0e5, 100.0]))
    cameras, images, masks = toy
    # transform_cameras rounds to float32: write these poses from float64 by hand.
    poses = _c2w(cameras)
    poses[:, :3, 3] += far.translation
    meta = _write_ngp(tmp_path, toy)
    for frame, pose in zip(meta["frames"], poses, strict=True):
        frame["transform_matrix"] = pose.tolist()
    (tmp_path / "transforms.json").write_text(json.dumps(meta))
    data = load_dataset(DataSpec(kind="transforms", path=str(tmp_path), mask="none"))
    # In float32 a centre at 4e5 would be off by 0.03. The half frame is 24 * 1.5 / 52 = 0.6923.
    rotation, t = data.inputs.cameras.w2c[..., :3], data.inputs.cameras.w2c[..., 3]
    centers = -np.einsum("vji,vj->vi", rotation, t)
    expected = np.asarray(camera_centers(cameras)) * 0.5 / 0.6923
    # The file's origin of the cube is only known to float32, one shift for all cameras.
    np.testing.assert_allclose(centers - centers[0], expected - expected[0], atol=1e-4)


def test_a_folder_takes_its_test_file_as_truth_and_the_same_similarity(tmp_path, toy):
    _write_blender(tmp_path, toy, SHIFTED, "train", range(0, 12, 2))
    _write_blender(tmp_path, toy, SHIFTED, "test", range(1, 12, 2))
    data = load_dataset(DataSpec(kind="transforms", path=str(tmp_path), views=(0, 2, 3, 5)))
    assert len(data.inputs.images) == 4 and len(data.truth.images) == 6
    moved = transform_cameras(transform_cameras(toy[0], SHIFTED), data.to_cube)
    np.testing.assert_allclose(data.truth.cameras.w2c, moved.w2c[1::2], atol=1e-4)
    np.testing.assert_allclose(data.inputs.cameras.w2c, moved.w2c[[0, 4, 6, 10]], atol=1e-4)
    train_only = DataSpec(kind="transforms", path=str(tmp_path / "transforms_train.json"))
    assert load_dataset(train_only).truth is None


def test_truth_may_be_named_and_have_another_size(tmp_path):
    spec = _tiny(tmp_path / "a")
    cameras = orbit_cameras([10.0], 20.0, 4.0, 10.0, 8, 8)
    meta = {
        "fl_x": 10.0,
        "frames": [{"file_path": "t", "transform_matrix": _c2w(cameras)[0].tolist()}],
    }
    _save(tmp_path / "b" / "t.png", np.zeros((8, 8, 3)), np.eye(8))
    (tmp_path / "b" / "transforms.json").write_text(json.dumps(meta))
    data = load_dataset(
        DataSpec(kind="transforms", path=spec.path, truth=str(tmp_path / "b" / "transforms.json"))
    )
    assert data.truth.images.shape == (1, 8, 8, 3) and data.inputs.images.shape == (3, 12, 16, 3)


def test_nerfstudios_file_lists_hold_test_pictures_out(tmp_path):
    spec = _tiny(tmp_path, train_filenames=["0.png", "1.png"], test_filenames=["2.png"])
    data = load_dataset(spec)
    assert data.inputs.names == ("0", "1") and data.truth.names == ("2",)


def test_intrinsics_of_a_frame_override_the_files(tmp_path):
    def change(meta):
        meta["frames"][1].update(fl_x=30.0, fl_y=31.0, cx=7.0, cy=5.0)

    k = load_dataset(_tiny(tmp_path, change)).inputs.cameras.intrinsics
    np.testing.assert_allclose(k[0], [[20, 0, 8], [0, 20, 6], [0, 0, 1]])
    np.testing.assert_allclose(k[1], [[30, 0, 7], [0, 31, 5], [0, 0, 1]])


def test_angles_of_view_become_focal_lengths(tmp_path):
    def change(meta):
        del meta["fl_x"]

    angles = {"camera_angle_x": np.pi / 2, "camera_angle_y": 2 * np.arctan(0.25)}
    k = load_dataset(_tiny(tmp_path, change, **angles)).inputs.cameras.intrinsics
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

    views = load_dataset(_tiny(tmp_path, change)).inputs
    assert views.masks.sum() == 3 * 20
    np.testing.assert_allclose(views.images[0, 0, 0], 1.0)
    np.testing.assert_allclose(views.images[0, 5, 6], 90 / 255, rtol=1e-5)


def test_depth_paths_are_ignored(tmp_path):
    spec = _tiny(tmp_path, lambda meta: meta["frames"][0].update(depth_file_path="gone.png"))
    assert len(load_dataset(spec).inputs.images) == 3


def test_pictures_of_a_real_background_load_without_masks(tmp_path):
    def change(meta):
        for k in range(3):
            noise = np.random.default_rng(k).integers(0, 255, (12, 16, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / f"{k}.png")

    assert load_dataset(_tiny(tmp_path, change)).inputs.masks is None


def test_equal_stems_are_told_apart_by_their_folders(tmp_path):
    def change(meta):
        (tmp_path / "left").mkdir()
        (tmp_path / "0.png").rename(tmp_path / "left" / "1.png")
        meta["frames"][0]["file_path"] = "left/1.png"

    assert load_dataset(_tiny(tmp_path, change)).inputs.names == ("left/1", "1", "2")


def test_a_slightly_inexact_rotation_is_made_exact(tmp_path):
    def change(meta):
        meta["frames"][0]["transform_matrix"][0][0] += 3e-4

    rotation = load_dataset(_tiny(tmp_path, change)).inputs.cameras.w2c[0, :, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)


def _set(key, value):
    return lambda meta: meta.update({key: value})


def _set_frame(key, value):
    return lambda meta: meta["frames"][1].update({key: value})


def _entry(row, column, value):
    def change(meta):
        meta["frames"][1]["transform_matrix"][row][column] = value

    return change


def _mirror(meta):
    for row in meta["frames"][1]["transform_matrix"][:3]:
        row[0] = -row[0]


def _scale(meta):
    for row in meta["frames"][1]["transform_matrix"][:3]:
        row[:3] = [1.5 * value for value in row[:3]]


def _twice(meta):
    meta["frames"][1]["file_path"] = "0.png"


REFUSED = {
    "k1": (_set("k1", 0.05), "has lens distortion k1=0.05, .*undistort"),
    "frame k4": (_set_frame("k4", -1e-3), r"frame 1 \(1.png\).* has lens distortion k4=-0.001"),
    "p2": (_set("p2", 1e-4), "has lens distortion p2=0.0001"),
    "text k2": (_set("k2", "a"), "k2='a', expected a finite number"),
    "fisheye": (_set("camera_model", "OPENCV_FISHEYE"), "camera_model 'OPENCV_FISHEYE', which"),
    "is_fisheye": (_set("is_fisheye", True), "has is_fisheye=True, which is not supported"),
    "rolling": (_set("rolling_shutter", [0, 0, 1, 0]), "has rolling_shutter="),
    "nan": (_entry(0, 3, float("nan")), "transform_matrix of frame 1 .* holds NaN or infinity"),
    "infinity": (_entry(1, 1, float("inf")), "holds NaN or infinity"),
    "last row": (_entry(3, 3, 2.0), "the last row must be 0 0 0 1"),
    "text": (_entry(0, 0, "one"), "must be 4 x 4 .* numbers"),
    "no pose": (_set_frame("transform_matrix", None), r"must be 4 x 4 .* got shape \(\)"),
    "ragged": (_set_frame("transform_matrix", [[1, 2], [3]]), "must be 4 x 4"),
    "scaled": (_scale, r"the rotation is not orthonormal \(\|R R\^T - I\| = 1.25"),
    "mirror": (_mirror, "has determinant -1, a mirror"),
    "no frames": (_set("frames", []), "has no frames"),
    "frames text": (_set("frames", "x"), "has no frames"),
    "frame list": (_set("frames", [[1]]), "frame 0 .* must be a JSON object, got list"),
    "no path": (_set_frame("file_path", None), "frame 1 .* needs file_path"),
    "null byte": (_set_frame("file_path", "a\0b"), "which is no path"),
    "outside": (_set_frame("file_path", "../x.png"), "names '../x.png', which leaves the data"),
    "absolute": (_set_frame("file_path", "/etc/hostname"), "leaves the data folder"),
    "mask outside": (_set_frame("mask_path", "../../m.png"), "leaves the data folder"),
    "twice": (_twice, "two frames use the picture 0"),
    "w": (_set("w", 32), "says w=32, h=None, but the picture is 16 x 12"),
    "focal": (_set("fl_x", -5.0), "has fl_x=-5.0, expected a positive"),
    "huge": (_set("fl_x", 10**400), "fl_x=1000.* expected a finite number"),
    "angle": (_set("camera_angle_y", 4.0), r"camera_angle_y=4.0, expected radians"),
    "no focal": (_set("fl_x", None), "neither camera_angle_x nor fl_x"),
    "applied": (
        _set("applied_transform", [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]]),
        "applied_transform of .* not orthonormal",
    ),
    "lists": (_set("train_filenames", "0.png"), "train_filenames of .* must be a list"),
    "none left": (_set("test_filenames", ["0.png", "1.png", "2.png"]), "no training frames"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_unsupported_or_wrong_is_refused_by_name(tmp_path, name):
    change, message = REFUSED[name]
    spec = _tiny(tmp_path, change)
    with pytest.raises(ValueError, match=message):
        load_dataset(spec)


def test_a_proper_applied_transform_is_accepted_and_poses_stay(tmp_path):
    # What nerfstudio's COLMAP script writes: already part of the poses.
    applied = [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]]
    plain = load_dataset(_tiny(tmp_path / "a"))
    turned = load_dataset(_tiny(tmp_path / "b", applied_transform=applied))
    np.testing.assert_array_equal(plain.inputs.cameras.w2c, turned.inputs.cameras.w2c)


def test_a_link_that_leaves_the_folder_is_refused(tmp_path):
    Image.new("RGB", (16, 12)).save(tmp_path / "secret.png")

    def change(meta):
        (tmp_path / "set" / "1.png").unlink()
        (tmp_path / "set" / "1.png").symlink_to(tmp_path / "secret.png")

    spec = _tiny(tmp_path / "set", change)
    with pytest.raises(ValueError, match="names '1.png', which leaves the data folder"):
        load_dataset(spec)


def test_invalid_json_is_refused_by_name(tmp_path):
    path = tmp_path / "transforms.json"
    for text in ("{", "[" * 100000, "\ufeff{}"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match="transforms.json is not valid JSON"):
            load_dataset(DataSpec(kind="transforms", path=str(path)))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not valid JSON"):
        load_dataset(DataSpec(kind="transforms", path=str(path)))
    path.write_text("[1]")
    with pytest.raises(ValueError, match="must hold a JSON object with `frames`, got list"):
        load_dataset(DataSpec(kind="transforms", path=str(path)))


def test_missing_files_are_named(tmp_path):
    spec = _tiny(tmp_path, _set_frame("file_path", "gone"))
    with pytest.raises(FileNotFoundError, match=r"frame 1 \(gone\) .*no picture at .*gone"):
        load_dataset(spec)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no transforms_train.json and no transforms.json"):
        load_dataset(DataSpec(kind="transforms", path=str(tmp_path / "empty")))


def test_mixed_picture_sizes_are_refused(tmp_path):
    def change(meta):
        Image.new("RGB", (20, 12)).save(tmp_path / "2.png")

    with pytest.raises(ValueError, match="different sizes: 0 is 16 x 12, 2 is 20 x 12"):
        load_dataset(_tiny(tmp_path, change))


def test_a_mask_of_another_size_is_refused(tmp_path):
    def change(meta):
        Image.new("L", (8, 8)).save(tmp_path / "m.png")
        meta["frames"][0]["mask_path"] = "m.png"

    with pytest.raises(ValueError, match="the mask .*m.png is 8 x 8, its picture 0.png is 16 x 12"):
        load_dataset(_tiny(tmp_path, change))


def test_cameras_without_a_common_point_are_refused(tmp_path):
    def parallel(meta):
        for k, frame in enumerate(meta["frames"]):
            frame["transform_matrix"] = [[1, 0, 0, k], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]

    def outwards(meta):
        for frame in meta["frames"]:
            for row in frame["transform_matrix"][:3]:
                row[0], row[2] = -row[0], -row[2]

    for name, change, message in (
        ("a", parallel, "look along almost the same direction"),
        ("b", outwards, "3 of 3 cameras look away"),
    ):
        with pytest.raises(ValueError, match=message + ".*similarity="):
            load_dataset(_tiny(tmp_path / name, change))
    given = DataSpec(kind="transforms", path=str(tmp_path / "a"), similarity=(1.0, 0.0, 0.0, 0.0))
    assert len(load_dataset(given).inputs.images) == 3


def test_masks_that_share_no_volume_are_refused(tmp_path):
    def change(meta):
        for k in range(3):
            alpha = np.zeros((12, 16))
            alpha[5 * (k % 2) : 5 * (k % 2) + 2, 12 * (k % 2) : 12 * (k % 2) + 3] = 1
            alpha[:] = np.roll(alpha, 4 * k, axis=0)
            _save(tmp_path / f"{k}.png", np.zeros((12, 16, 3)), alpha)

    with pytest.raises(ValueError, match="3 masks share no volume: poses and masks disagree"):
        load_dataset(_tiny(tmp_path, change))


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
