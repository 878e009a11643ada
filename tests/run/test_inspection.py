"""run/inspection.py and diagnose/mistakes.py: planted mistakes are named, without false alarms."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.diagnose.corrections import order_corrections, pose_corrections
from jaxvsnerf.diagnose.mistakes import AS_GIVEN, diagnose
from jaxvsnerf.geometry.cameras import identity_similarity, transform_cameras
from jaxvsnerf.run import inspection
from jaxvsnerf.types import Similarity
from tests import commands
from tests.posed_files import c2w, save
from tests.toy_views import toy_views


@pytest.fixture(scope="module")
def views():
    return toy_views("clean")[0]


def test_two_exchanged_views_are_named(views):
    order = [0, 1, 6, 3, 4, 5, 2, 7]
    wrong = views.replace(images=views.images[order], masks=views.masks[order])
    mistake = diagnose(wrong, identity_similarity()).mistake
    assert mistake.name == "views in the wrong order"
    assert mistake.advice == "exchange views 002 and 006"


def test_an_object_outside_its_cube_is_said_with_the_similarity_that_fits(views):
    moved = Similarity(np.float32(1), np.eye(3), np.array([0.5, 0.0, 0.0]))
    wrong = views.replace(cameras=transform_cameras(views.cameras, moved))
    found = diagnose(wrong, identity_similarity())
    assert found.mistake is None and found.place.startswith("the object reaches outside its cube")
    # The box's middle is where the object was moved to.
    np.testing.assert_allclose(found.box.mean(0), [0.5, 0.0, 0.0], atol=0.08)


def test_corrections_undo_what_they_are_named_after(views):
    w2c = np.tile(np.eye(4), (8, 1, 1))
    w2c[:, :3] = views.cameras.w2c
    flip = np.diag([1.0, -1.0, -1.0, 1.0])
    # What is read where a file's matrices are world-to-camera, OpenGL axes.
    read = np.linalg.inv(flip @ w2c @ flip)[:, :3].astype(np.float32)
    fixed = [
        one
        for one in pose_corrections(views.cameras.replace(w2c=read))
        if one.name.startswith("world-to-camera")
    ]
    errors = [np.abs(one.cameras.w2c - views.cameras.w2c).max() for one in fixed]
    assert min(errors) < 1e-5


def test_a_sheet_may_be_read_column_by_column(views):
    names = tuple("abcdef")
    # Rows abc, def read by column give adbecf.
    orders = {
        one.advice: "".join(names[k] for k in one.order)
        for one in order_corrections(views.cameras, names, (2, 3))
    }
    assert "adbecf" in orders.values() and "fedcba" in orders.values()


def test_a_diagnosis_needs_masks(views):
    with pytest.raises(ValueError, match="at least two views, and masks"):
        diagnose(views.replace(masks=None), identity_similarity())


def test_a_right_strip_gets_a_page_and_a_picture_and_no_alarm(views, tmp_path, capsys):
    strip = np.concatenate(list(views.images), 1)
    Image.fromarray(np.round(strip * 255).astype(np.uint8)).save(tmp_path / "mine.png")
    config = default_config()
    config.data.update(path=str(tmp_path / "mine.png"), rig="orbit", elevation_deg=(30.0,))
    config.data.azimuth_deg = tuple(45.0 * k for k in range(8))
    config.data.update(distance=1.5, fov_deg=2 * float(np.rad2deg(np.arctan(128 / 280))))
    inspection.inspect_source(config, tmp_path / "out")
    said = capsys.readouterr().out
    assert said.startswith("masks: background of 8 views") and "consistency 0." in said
    assert "No mistake found" in said
    page = (tmp_path / "out" / "inspect.html").read_text()
    assert "http://www" not in page and "<script" not in page and 'src="http' not in page
    # A row a view, three pictures each, and the cameras twice.
    assert page.count("<img") == 24 and page.count('<svg class="cameras"') == 2
    assert AS_GIVEN in page and "mine.png" in page
    with Image.open(tmp_path / "out" / "inspect.png") as picture:
        assert np.asarray(picture).std() > 10


def test_flipped_axes_are_named_where_the_cameras_share_no_object_at_all(views, tmp_path, capsys):
    poses = c2w(views.cameras) @ np.diag([1.0, -1.0, -1.0, 1.0])
    frames = []
    for k, pose in enumerate(poses):
        save(tmp_path / f"{k}.png", views.images[k], views.masks[k])
        frames.append({"file_path": f"{k}.png", "transform_matrix": pose.tolist()})
    (tmp_path / "transforms.json").write_text(json.dumps({"fl_x": 70.0, "frames": frames}))
    config = default_config()
    config.data.path = str(tmp_path)
    inspection.inspect_source(config, tmp_path / "out")
    assert "Likely mistake: camera axes flipped" in capsys.readouterr().out
    assert "OpenGL" in (tmp_path / "out" / "inspect.html").read_text()


def test_the_command_takes_a_source_and_a_rig_and_says_what_is_missing():
    absent, unknown, second = commands.run_each(
        ("inspect", "nowhere.png", "--rig=sv3d"),
        ("inspect", "tests", "--rig=sv3d"),
        ("inspect", "one.png", "two.png"),
    )
    assert absent.returncode == 1 and "nothing at" in absent.stderr
    assert unknown.returncode == 1 and "distance must be given for rig 'sv3d'" in unknown.stderr
    assert second.returncode == 2 and "unknown argument 'two.png'" in second.stderr
