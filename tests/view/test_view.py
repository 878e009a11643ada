"""The live viewer: its cameras, what it shows, what it reads of a run in training."""

import shutil
import urllib.request
from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from jaxvsnerf.geometry.cameras import orbit_cameras, project, take
from jaxvsnerf.pictures.colormap import viridis
from jaxvsnerf.view import viewer as viewer_module
from jaxvsnerf.view.live_run import LiveRun, Saved
from jaxvsnerf.view.look import (
    ASPECT,
    FAR_AWAY,
    in_mode,
    look_at_field,
    modes_of,
    shown_of,
    to_cameras,
    to_pose,
)

pytestmark = pytest.mark.unoptimized
POINTS = np.asarray([[0.3, 0.1, -0.2], [-0.4, 0.2, 0.1], [0.0, 0.0, 0.0]], np.float32)
HEIGHT = 8


@pytest.fixture(scope="module")
def live(run_folder):
    return LiveRun(run_folder)


@pytest.fixture(scope="module")
def fused(live):
    """The last stage's field."""
    return live.load(live.saved()[-1])


def files(folder):
    return sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_a_window_at_an_input_camera_shows_what_that_camera_sees():
    cameras = orbit_cameras([10, 130], [20, -30], 1.5, 280 / 256 * 40, 40, 40)
    for view in range(2):
        pose = to_pose(cameras, view)
        window = to_cameras(pose.wxyz, pose.position, pose.fov, 1.0, cameras.height)
        assert (window.width, window.height) == (60, 40)
        given, depth = project(cameras.intrinsics[view], cameras.w2c[view], POINTS)
        seen, seen_depth = project(window.intrinsics[0], window.w2c[0], POINTS)
        np.testing.assert_allclose(seen, np.asarray(given) * [ASPECT, 1], atol=1e-3)
        np.testing.assert_allclose(seen_depth, depth, atol=1e-5)
        np.testing.assert_allclose(pose.look_at, 0, atol=1e-6)


def test_a_window_at_an_orthographic_camera_has_its_size_at_the_origin():
    cameras = orbit_cameras([50], 10, 1.5, 30.0, 40, 40, orthographic=True)
    pose = to_pose(cameras, 0)
    # 40 pixels at 30 a unit, seen from 1.5 away.
    assert pose.fov == pytest.approx(2 * np.arctan(40 / 30 / 2 / 1.5), rel=1e-5)


def test_a_windows_corner_is_the_pictures_corner_whatever_its_shape():
    quaternion, position, fov, aspect = np.asarray([0.5, 0.1, -0.7, 0.2]), [1.0, 2, 3], 0.9, 2.1
    wxyz = quaternion / np.linalg.norm(quaternion)
    window = to_cameras(wxyz, position, fov, aspect, 32)
    corner = np.asarray([aspect * np.tan(fov / 2), np.tan(fov / 2), 1.0])
    point = Rotation.from_quat(np.roll(wxyz, -1)).as_matrix() @ corner + position
    pixel, depth = project(window.intrinsics[0], window.w2c[0], point.astype(np.float32))
    np.testing.assert_allclose(pixel, [48, 32], atol=1e-3)
    assert depth == pytest.approx(1, abs=1e-5)


def test_newest_checkpoints_are_found_and_read_while_a_run_trains(run_folder, live, tmp_path):
    assert live.saved() == [(name, 6) for name in ("stage1", "stage2", "stage3")]
    training = tmp_path / "training"
    shutil.copytree(run_folder, training)
    checkpoints = training / "checkpoints"
    (checkpoints / "stage3" / "6").rename(checkpoints / "stage3" / "6.orbax-checkpoint-tmp")
    shutil.rmtree(checkpoints / "stage2")
    run, before = LiveRun(training), files(training)
    assert run.saved() == [("stage1", 6), ("stage3", 4)]
    assert run.load(Saved("stage3", 4)).mode == "fused"
    # Of 6 steps 0.9 open the frequencies; the end has all of them.
    partial = run.load(Saved("stage1", 4))
    assert float(partial.context.detail) == pytest.approx(4 / 5.4)
    assert run.load(Saved("stage1", 6)).context.detail is None
    assert files(training) == before  # it only reads
    shutil.rmtree(checkpoints / "stage3" / "4")
    assert run.load(Saved("stage3", 4)) is None


def test_a_views_own_branch_is_what_the_nearest_view_shows(fused):
    camera = take(fused.cameras.replace(width=12, height=HEIGHT), [2])
    own = fused.branch(2).render(camera)
    nearest = replace(fused, mode="nearest").render(camera)
    np.testing.assert_allclose(own.rgb, nearest.rgb, atol=1e-5)
    assert np.abs(own.rgb - fused.branch(0).render(camera).rgb).max() > 1e-4


@pytest.mark.slow
def test_every_mode_and_kind_is_a_finite_picture(live, fused):
    single = live.load(Saved("stage1", 4))
    assert modes_of(single) == ("single",)
    views = tuple(f"view {view}" for view in range(4))
    assert modes_of(fused) == ("fused", "canonical", "average", "nearest", *views)
    assert modes_of(fused, photo=True)[-2:] == ("view 2", "photo") and modes_of(single, True) == (
        "single",
    )
    pose = to_pose(fused.cameras, 1)
    camera = to_cameras(pose.wxyz, pose.position, pose.fov, 1.4, HEIGHT)
    shown = [(fused, mode, "colour") for mode in ("fused", "canonical", "view 3", "photo")]
    shown += [(fused, "fused", kind) for kind in shown_of(fused)] + [
        (single, "single", "disagreement")
    ]
    for field, mode, kind in shown:
        picture, depth = look_at_field(field, mode, kind, camera)
        assert picture.shape == (HEIGHT, 12, 3) and depth.shape == (HEIGHT, 12)
        assert np.isfinite(picture).all() and 0 <= picture.min() and picture.max() <= 1 + 1e-5
        assert ((depth > 0) & (depth <= FAR_AWAY)).all()
    with pytest.raises(ValueError, match="expected to show one of colour"):
        look_at_field(fused, "fused", "normals", camera)


def test_views_that_are_one_disagree_nowhere(fused):
    same = jax.tree.map(lambda leaf: np.repeat(leaf[:1], 4, axis=0), fused.params["views"])
    agreed = replace(fused, params={**fused.params, "views": same})
    pose = to_pose(fused.cameras, 0)
    camera = to_cameras(pose.wxyz, pose.position, pose.fov, 1.0, HEIGHT)
    picture, _ = look_at_field(agreed, "canonical", "disagreement", camera)
    acc = in_mode(agreed, "canonical").render(camera).acc[0][..., None]
    expected = viridis(np.zeros(1)) * acc + 1 - acc
    np.testing.assert_allclose(picture, expected, atol=1e-3)


def test_a_server_has_the_page_and_renders_what_is_chosen(live):
    pytest.importorskip("viser", reason="viser, which serves the page, is not installed")
    server = viewer_module.start_server("127.0.0.1", 0)
    try:
        port = server.get_port()
        with pytest.raises(OSError, match=f"127.0.0.1:{port} cannot be served .*--port=0"):
            viewer_module.start_server("127.0.0.1", port)
        names = tuple("abcd")
        viewer = viewer_module.Viewer(live, server, None, names, 64)
        assert viewer.refresh() and not viewer.refresh()
        assert viewer.saved == ("stage3", 6)
        picture, _ = viewer.look(to_pose(live.scene.cameras, 0), 1.0, HEIGHT)
        assert picture.shape == (HEIGHT, 12, 3)
        viewer._stage.value = "stage1"
        assert viewer.refresh() and viewer.saved == ("stage1", 6)
        assert viewer._mode.options == ("single",)
        with pytest.MonkeyPatch.context() as patch:  # deleted while it is read
            patch.setattr(live, "load", lambda _: None)
            viewer._stage.value = "stage2"
            assert not viewer.refresh() and viewer.saved == ("stage1", 6)
        # Without a window to render for it only waits.
        asked = iter([True, False])
        viewer.serve(lambda: next(asked))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
            assert page.status == 200 and b"<html" in page.read()
        assert server.request_share_url() is None
    finally:
        server.stop()
