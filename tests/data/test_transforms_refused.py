"""transforms.json that is refused, by name."""

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.run.dataset import load_dataset
from tests.posed_files import (
    save,
    tiny,
)


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
    "frame k4": (_set_frame("k4", -0.1), r"1.png has lens distortion k4=-0.1, .* by 0.2"),
    "p2": (_set("p2", 0.02), "has lens distortion p2=0.02"),
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
    spec = tiny(tmp_path, change)
    with pytest.raises(ValueError, match=message):
        load_dataset(spec)


def test_a_proper_applied_transform_is_accepted_and_poses_stay(tmp_path):
    # What nerfstudio's COLMAP script writes: already part of the poses.
    applied = [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]]
    plain = load_dataset(tiny(tmp_path / "a"))
    turned = load_dataset(tiny(tmp_path / "b", applied_transform=applied))
    np.testing.assert_array_equal(plain.inputs.cameras.w2c, turned.inputs.cameras.w2c)


def test_a_link_that_leaves_the_folder_is_refused(tmp_path):
    Image.new("RGB", (16, 12)).save(tmp_path / "secret.png")

    def change(meta):
        (tmp_path / "set" / "1.png").unlink()
        (tmp_path / "set" / "1.png").symlink_to(tmp_path / "secret.png")

    spec = tiny(tmp_path / "set", change)
    with pytest.raises(ValueError, match="names '1.png', which leaves the data folder"):
        load_dataset(spec)


def test_invalid_json_is_refused_by_name(tmp_path):
    path = tmp_path / "transforms.json"
    for text in ("{", "[" * 100000):
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
    spec = tiny(tmp_path, _set_frame("file_path", "gone"))
    with pytest.raises(FileNotFoundError, match=r"frame 1 \(gone\) .*no picture at .*gone"):
        load_dataset(spec)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no transforms_train.json and no transforms.json"):
        load_dataset(DataSpec(kind="transforms", path=str(tmp_path / "empty")))


def test_mixed_picture_sizes_are_refused(tmp_path):
    def change(meta):
        Image.new("RGB", (20, 12)).save(tmp_path / "2.png")

    with pytest.raises(ValueError, match="different sizes: 0 is 16 x 12, 2 is 20 x 12"):
        load_dataset(tiny(tmp_path, change))


def test_a_mask_of_another_size_is_refused(tmp_path):
    def change(meta):
        Image.new("L", (8, 8)).save(tmp_path / "m.png")
        meta["frames"][0]["mask_path"] = "m.png"

    with pytest.raises(ValueError, match="the mask .*m.png is 8 x 8, its picture 0.png is 16 x 12"):
        load_dataset(tiny(tmp_path, change))


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
            load_dataset(tiny(tmp_path / name, change))
    given = DataSpec(kind="transforms", path=str(tmp_path / "a"), similarity=(1.0, 0.0, 0.0, 0.0))
    assert len(load_dataset(given).inputs.images) == 3


def test_masks_that_share_no_volume_are_refused(tmp_path):
    def change(meta):
        for k in range(3):
            alpha = np.zeros((12, 16))
            alpha[5 * (k % 2) : 5 * (k % 2) + 2, 12 * (k % 2) : 12 * (k % 2) + 3] = 1
            alpha[:] = np.roll(alpha, 4 * k, axis=0)
            save(tmp_path / f"{k}.png", np.zeros((12, 16, 3)), alpha)

    with pytest.raises(ValueError, match="3 masks share no volume: poses and masks disagree"):
        load_dataset(tiny(tmp_path, change))
