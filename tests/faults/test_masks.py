"""Masks that are no silhouettes, and masks given that were not used, through the commands."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.run.dataset import load_dataset
from tests import commands
from tests.posed_files import c2w

SIZE, WIDTH, HEIGHT, FOCAL = 32, 32, 24, 26.0


def _ball(width, height, radius):
    """A shaded disc on white, [height, width, 3] uint8, and its mask."""
    y, x = np.mgrid[:height, :width] + 0.5
    mask = np.hypot(x - width / 2, y - height / 2) < radius
    shade = np.where(mask, 60 + 4 * y, 255)[..., None]
    return np.uint8(np.repeat(shade, 3, -1)), mask


@pytest.fixture(scope="module")
def strip():
    """Sixteen views side by side on white, [SIZE, 16 SIZE, 3] uint8, and their masks."""
    rgb, mask = _ball(SIZE, SIZE, 9)
    return np.tile(rgb, (1, 16, 1)), np.tile(mask, (1, 16))


def _save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def capture():
    """Poses of six views of a ball, its pictures and masks."""
    angles = [60.0 * k for k in range(6)], [30.0, -10.0] * 3
    rgb, mask = _ball(WIDTH, HEIGHT, 6)
    poses = c2w(orbit_cameras(*angles, 1.5, FOCAL, WIDTH, HEIGHT))
    return poses, np.stack([rgb] * 6), np.stack([mask] * 6)


def _write(folder, capture, change=None, name="transforms.json", plain=False, **fields):
    """A capture, cut out or `plain`; `change(meta)` edits the file before it is written."""
    poses, images, masks = capture
    frames = []
    for k, pose in enumerate(poses):
        pixels = images[k] if plain else np.dstack([images[k], np.uint8(255 * masks[k])])
        _save(folder / f"images/{k}.png", pixels)
        frames.append({"file_path": f"images/{k}.png", "transform_matrix": pose.tolist()})
    meta = {"fl_x": FOCAL, "w": WIDTH, "h": HEIGHT, "frames": frames, **fields}
    if change:
        change(meta)
    (folder / name).write_text(json.dumps(meta), encoding="utf-8")
    return folder


def test_what_cannot_be_read_as_a_silhouette_is_refused_by_name(strip, capture, tmp_path):
    row, masks = strip
    black = row.copy()
    black[:, 4 * SIZE : 5 * SIZE] = 0
    room = np.dstack([row, np.uint8(255 * masks)])
    room[:, :SIZE, :3] = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3))
    room[:, :SIZE, 3] = 255

    def larger(meta):
        meta.update(fl_x=4 * FOCAL, cx=2 * WIDTH, cy=2 * HEIGHT)
        del meta["w"], meta["h"]

    def partly(meta):
        for frame in meta["frames"][1:]:
            path = frame["file_path"].replace("images", "masks")
            _save(tmp_path / "partly" / path, np.uint8(255 * masks[:HEIGHT, :WIDTH]))
            frame["mask_path"] = path

    def white(meta):
        for frame in meta["frames"]:
            frame["mask_path"] = frame["file_path"].replace("images", "masks")
            pixels = np.full((HEIGHT, WIDTH), 255, np.uint8)
            _save(tmp_path / "white" / frame["mask_path"], pixels)

    def shared(meta):
        _save(tmp_path / "shared/masks/all.png", np.uint8(255 * masks[:HEIGHT, :WIDTH]))
        for frame in meta["frames"]:
            frame["mask_path"] = "masks/all.png"

    cases = {
        "view 004 shows no object": _save(tmp_path / "black.png", black),
        "no mask for view 000, whose border has several": _save(tmp_path / "room.png", room),
        "belong to pictures 4 times as large": _write(tmp_path / "large", capture, larger),
        "0.png, while 5 of 6 pictures": _write(tmp_path / "partly", capture, partly),
        "covers 100% of the picture and cannot be a silhouette": _write(
            tmp_path / "white", capture, white, plain=True
        ),
        "all.png belongs to two pictures": _write(tmp_path / "shared", capture, shared, plain=True),
        "the object's pixels as 255": _labels(tmp_path / "labels", capture),
    }
    arguments = commands.train_arguments(tmp_path / "run", "--config.data.kind=auto")
    calls = [("train", *arguments, f"--config.data.path={path}") for path in cases.values()]
    for message, done in zip(cases, commands.run_each(*calls), strict=True):
        assert done.returncode == 1 and message in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def _labels(folder, capture):
    def change(meta):
        for k, frame in enumerate(meta["frames"]):
            labels = np.uint8(capture[2][k] > 0.5)
            labels[HEIGHT // 2, WIDTH // 2] = 2
            _save(folder / f"masks/{k}.png", labels)
            frame["mask_path"] = f"masks/{k}.png"

    return _write(folder, capture, change)


@pytest.mark.slow
def test_train_and_inspect_say_where_masks_come_from(strip, tmp_path):
    row, masks = strip
    alpha = np.where(np.arange(row.shape[1]) < SIZE, 255 * masks, 255)
    path = f"--config.data.path={_save(tmp_path / 's.png', np.dstack([row, np.uint8(alpha)]))}"
    arguments = commands.train_arguments(tmp_path / "run", "--config.data.kind=strip", path)
    calls = ("train", *arguments), ("inspect", path, f"--out={tmp_path / 'inspect'}")
    for done in commands.run_each(*calls):
        assert done.returncode == 0, done.stderr
        first = done.stdout.splitlines()[0]
        assert "masks: alpha of 1 view, background of 15; they cover 25 % of the pictures" in first


def test_files_of_other_programs_are_read(capture, tmp_path):
    true = capture[2] > 0.5

    def backslashes(meta):
        for frame in meta["frames"]:
            frame["file_path"] = ".\\" + frame["file_path"].replace("/", "\\")

    folders = [
        _write(tmp_path / "plain", capture),
        _write(tmp_path / "windows", capture, backslashes),
        _write(tmp_path / "lens", capture, k1=-3e-17, k2=1e-18),
        _write(tmp_path / "bom", capture),
        _write(tmp_path / "notest", capture, name="transforms_train.json"),
    ]
    bom = tmp_path / "bom" / "transforms.json"
    bom.write_bytes(b"\xef\xbb\xbf" + bom.read_bytes())
    absent = json.loads((tmp_path / "notest" / "transforms_train.json").read_text())
    for frame in absent["frames"]:
        frame["file_path"] = frame["file_path"].replace("images", "test")
    (tmp_path / "notest" / "transforms_test.json").write_text(json.dumps(absent))
    for folder in folders:
        data = load_dataset(DataSpec(path=str(folder)))
        np.testing.assert_array_equal(data.inputs.masks > 0.5, true)
        assert data.truth is None
    assert data.inputs.notes[0].startswith("warning: no true pictures")


def test_alpha_of_254_is_as_good_as_no_alpha(strip, tmp_path):
    row, _ = strip
    alpha = np.full(row.shape[:2], 255, np.uint8)
    alpha[0, ::97] = 254
    plain, nearly = (
        load_dataset(DataSpec(kind="strip", path=str(_save(tmp_path / name, pixels)))).inputs
        for name, pixels in (("a.png", row), ("b.png", np.dstack([row, alpha])))
    )
    np.testing.assert_array_equal(plain.images, nearly.images)
    np.testing.assert_array_equal(plain.masks, nearly.masks)
