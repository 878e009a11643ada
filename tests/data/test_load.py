"""data/load.py, sheets.py, rigs.py: strips, folders and the spec's door."""

import os
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data.rigs import SYNCDREAMER, complete_rig, rig_cameras
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.geometry.cameras import camera_centers, orbit_cameras
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.simulate.toy import render_toy
from jaxvsnerf.system.paths import find_path

needs_data = pytest.mark.skipif(
    "JAXVSNERF_DATA" not in os.environ, reason="JAXVSNERF_DATA is not set"
)


def _save(path, rgb, alpha=None):
    pixels = rgb if alpha is None else np.concatenate([rgb, alpha[..., None]], -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(np.asarray(pixels) * 255).astype(np.uint8)).save(path)


def _blob(height, width, shade=0.5, background=1.0):
    rgb = np.full((height, width, 3), background, np.float32)
    rgb[height // 4 : -height // 4, width // 4 : -width // 4] = shade
    return rgb


def _folder(path, count, height=24, width=24):
    for k in range(count):
        _save(path / f"{k}.png", _blob(height, width, 0.02 * k + 0.1))
    return str(path)


def _strip(path, height=24, count=16):
    _save(path, np.concatenate([_blob(height, height, 0.02 * k + 0.1) for k in range(count)], 1))
    return str(path)


def test_a_toy_strip_of_another_height_loads_with_scaled_cameras(tmp_path):
    size = 40
    cameras = rig_cameras(SYNCDREAMER, size, size)
    images, masks = render_toy(cameras)
    _save(tmp_path / "strip.png", np.concatenate(list(images), 1))
    data = load_dataset(DataSpec(kind="strip", path=str(tmp_path / "strip.png")))
    np.testing.assert_allclose(data.inputs.images, images, atol=0.51 / 255)
    # f = 280 at 256, so 43.75 at 40; the principal point is the middle.
    np.testing.assert_allclose(
        data.inputs.cameras.intrinsics[5], [[43.75, 0, 20], [0, 43.75, 20], [0, 0, 1]], rtol=1e-6
    )
    np.testing.assert_array_equal(data.inputs.cameras.w2c, cameras.w2c)
    # Background masks see every pixel that the object covers visibly.
    agree = (data.inputs.masks > 0.5) == (np.asarray(masks) > 0.05)
    assert agree.mean() > 0.99
    assert data.truth is None and data.clean is None


def test_a_strip_of_the_wrong_width_is_refused_with_both_sizes(tmp_path):
    path = _strip(tmp_path / "s.png", height=8, count=15)
    with pytest.raises(ValueError, match="is 120 x 8 .* strip of 16 square views .* is 128 x 8"):
        load_dataset(DataSpec(kind="strip", path=path))


def test_chosen_views_select_inputs_and_clean_but_not_truth(tmp_path):
    spec = DataSpec(
        kind="strip",
        path=_strip(tmp_path / "s.png"),
        truth=_folder(tmp_path / "gt", 16),
        views=(0, 4, 8, 12),
    )
    data = load_dataset(spec)
    assert data.inputs.images.shape == (4, 24, 24, 3) and data.truth.images.shape[0] == 16
    assert data.inputs.names == ("000", "004", "008", "012")
    np.testing.assert_array_equal(data.clean, data.truth.images[[0, 4, 8, 12]])
    np.testing.assert_allclose(data.inputs.images, data.clean, atol=1e-6)
    full = rig_cameras(SYNCDREAMER, 24, 24)
    np.testing.assert_array_equal(data.inputs.cameras.w2c, full.w2c[[0, 4, 8, 12]])
    for array in (
        data.inputs.images,
        data.inputs.masks,
        data.inputs.cameras.intrinsics,
        data.clean,
    ):
        assert isinstance(array, np.ndarray) and array.dtype == np.float32


def test_the_input_view_is_the_rigs_or_the_one_that_is_named(tmp_path):
    spec = DataSpec(kind="strip", path=_strip(tmp_path / "strip.png"), views=(4, 8))
    # The rig's input picture is its first view's, even where that is not used.
    first = rig_cameras(SYNCDREAMER, 24, 24).w2c[0, 2, :3]
    np.testing.assert_allclose(load_dataset(spec).inputs.input_axis, first, atol=1e-6)
    data = load_dataset(replace(spec, input_view=8))
    np.testing.assert_array_equal(data.inputs.input_axis, data.inputs.cameras.w2c[1, 2, :3])
    orbit = replace(spec, rig="orbit", azimuth_deg=tuple(22.5 * k for k in range(16)))
    orbit = replace(orbit, elevation_deg=(30.0,), distance=1.5, fov_deg=49.1)
    assert load_dataset(orbit).inputs.input_axis is None
    with pytest.raises(ValueError, match="data.input_view: expected -1 or one of data.views"):
        replace(spec, input_view=5)
    with pytest.raises(ValueError, match="input_view: expected -1 or one of the 16 views"):
        load_dataset(replace(spec, views=(), input_view=16))


def test_folder_truth_is_in_natural_order(tmp_path):
    data = load_dataset(DataSpec(kind="folder", path=_folder(tmp_path / "f", 16)))
    # View k has shade 0.02 k + 0.1; text order would put 10.png second.
    shades = data.inputs.images[:, 12, 12, 0]
    np.testing.assert_allclose(shades, 0.02 * np.arange(16) + 0.1, atol=0.51 / 255)


def test_truth_of_another_size_scores_but_is_not_clean(tmp_path):
    truth = _folder(tmp_path / "gt", 16, 48, 48)
    data = load_dataset(DataSpec(kind="strip", path=_strip(tmp_path / "s.png"), truth=truth))
    assert data.clean is None and data.truth.images.shape == (16, 48, 48, 3)
    np.testing.assert_allclose(data.truth.cameras.intrinsics[0, 0, 0], 280 * 48 / 256, rtol=1e-6)


def test_an_orbit_of_non_square_pictures(tmp_path):
    spec = DataSpec(
        kind="folder",
        path=_folder(tmp_path / "f", 3, height=24, width=36),
        rig="orbit",
        azimuth_deg=(0.0, 90.0, 200.0),
        elevation_deg=(10.0, 20.0, -30.0),
        distance=2.0,
        fov_deg=60.0,
    )
    data = load_dataset(spec)
    # Vertical: f = 12 / tan(30 deg).
    expected = orbit_cameras([0, 90, 200], [10, 20, -30], 2.0, 12 / np.tan(np.pi / 6), 36, 24)
    np.testing.assert_allclose(data.inputs.cameras.w2c, expected.w2c, atol=1e-6)
    np.testing.assert_allclose(data.inputs.cameras.intrinsics, expected.intrinsics, rtol=1e-6)
    assert data.inputs.images.shape == (3, 24, 36, 3)


def test_one_elevation_serves_all_views(tmp_path):
    path = _folder(tmp_path / "f", 2)
    spec = DataSpec(
        kind="folder",
        path=path,
        rig="orbit",
        azimuth_deg=(0, 180),
        elevation_deg=(15,),
        distance=1.5,
        fov_deg=50.0,
    )
    cameras = load_dataset(spec).inputs.cameras
    expected = orbit_cameras([0, 180], 15, 1.5, 9, 9, 9)
    np.testing.assert_allclose(cameras.w2c, expected.w2c, atol=1e-6)


def test_alpha_is_composited_on_the_asked_background_and_becomes_the_mask(tmp_path):
    alpha = np.zeros((24, 24), np.float32)
    alpha[6:18, 6:18] = 0.6
    for k in range(16):
        _save(tmp_path / "f" / f"{k:03d}.png", _blob(24, 24, 1.0, 0.0), alpha)
    spec = DataSpec(kind="folder", path=str(tmp_path / "f"), background=(0.0, 0.5, 1.0))
    views = load_dataset(spec).inputs
    # 0.6 * 1 + 0.4 * (0, 0.5, 1) inside, the background outside.
    np.testing.assert_allclose(views.images[3, 12, 12], [0.6, 0.8, 1.0], atol=1e-6)
    np.testing.assert_allclose(views.images[3, 0, 0], [0.0, 0.5, 1.0], atol=1e-6)
    np.testing.assert_allclose(views.masks[0], alpha, atol=1e-6)


def test_downscale_shrinks_pictures_masks_and_cameras(tmp_path):
    data = load_dataset(DataSpec(kind="strip", path=_strip(tmp_path / "s.png"), downscale=2))
    assert data.inputs.images.shape == (16, 12, 12, 3) and data.inputs.masks.shape == (16, 12, 12)
    expected = rig_cameras(SYNCDREAMER, 12, 12).intrinsics
    np.testing.assert_allclose(data.inputs.cameras.intrinsics, expected, rtol=1e-6)
    assert (data.inputs.cameras.width, data.inputs.cameras.height) == (12, 12)


def test_a_given_similarity_moves_the_cameras(tmp_path):
    path = _strip(tmp_path / "s.png")
    data = load_dataset(DataSpec(kind="strip", path=path, similarity=(2.0, 0.0, 0.0, 0.5)))
    before = camera_centers(rig_cameras(SYNCDREAMER, 24, 24))
    after = camera_centers(data.inputs.cameras)
    np.testing.assert_allclose(after, 2 * before + np.array([0, 0, 0.5]), atol=1e-5)


def test_mask_none_leaves_masks_unknown(tmp_path):
    spec = DataSpec(kind="strip", path=_strip(tmp_path / "s.png"), mask="none")
    assert load_dataset(spec).inputs.masks is None


def test_a_strip_on_another_background_gets_masks_and_that_background(tmp_path):
    dark = np.concatenate([_blob(24, 24, 0.9, 0.1)] * 16, 1)
    _save(tmp_path / "s.png", dark)
    spec = DataSpec(kind="strip", path=str(tmp_path / "s.png"))
    grey = round(0.1 * 255) / 255
    for given in (spec, replace(spec, background=(grey,) * 3)):
        views = load_dataset(given).inputs
        assert views.masks.mean() == pytest.approx(0.25)
        np.testing.assert_allclose(views.background, grey)
    with pytest.raises(ValueError, match="no mask can be made .* set data.background"):
        load_dataset(replace(spec, background=(1.0, 1.0, 1.0)))


def test_views_on_different_backgrounds_are_laid_on_one(tmp_path):
    shades = [round((0.3 + 0.02 * k) * 255) / 255 for k in range(16)]
    _save(tmp_path / "s.png", np.concatenate([_blob(24, 24, 0.9, s) for s in shades], 1))
    views = load_dataset(DataSpec(kind="strip", path=str(tmp_path / "s.png"))).inputs
    np.testing.assert_array_equal(views.masks, np.repeat(views.masks[:1], 16, 0))
    assert views.masks[0].mean() == pytest.approx(0.25)
    np.testing.assert_allclose(views.background, np.median(shades))
    np.testing.assert_allclose(views.images[:, 0, 0], np.median(shades))


def test_a_border_without_one_colour_gives_no_masks(tmp_path):
    noise = np.random.default_rng(0).uniform(size=(24, 24 * 16, 3))
    _save(tmp_path / "s.png", noise)
    with pytest.raises(ValueError, match="no mask can be made .* set data.background"):
        load_dataset(DataSpec(kind="strip", path=str(tmp_path / "s.png")))


def test_an_empty_view_is_named(tmp_path):
    cells = [_blob(24, 24)] * 16
    cells[7] = np.ones((24, 24, 3), np.float32)
    _save(tmp_path / "s.png", np.concatenate(cells, 1))
    with pytest.raises(ValueError, match="view 007 shows no object"):
        load_dataset(DataSpec(kind="strip", path=str(tmp_path / "s.png")))
    spec = DataSpec(kind="strip", path=str(tmp_path / "s.png"), views=(0, 4, 8))
    assert len(load_dataset(spec).inputs.images) == 3


def test_a_folder_that_does_not_match_its_rig_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds 5 pictures .* the rig has 16 cameras"):
        load_dataset(DataSpec(kind="folder", path=_folder(tmp_path / "f", 5)))


def test_a_folder_of_mixed_sizes_is_refused(tmp_path):
    path = _folder(tmp_path / "f", 16)
    _save(tmp_path / "f" / "9.png", _blob(24, 30))
    with pytest.raises(ValueError, match="different sizes: 0 is 24 x 24, 9 is 30 x 24"):
        load_dataset(DataSpec(kind="folder", path=path))


def test_a_folder_with_one_name_in_two_formats_is_refused(tmp_path):
    path = _folder(tmp_path / "f", 15)
    _save(tmp_path / "f" / "3.jpg", _blob(24, 24))
    with pytest.raises(ValueError, match="same name in two formats"):
        load_dataset(DataSpec(kind="folder", path=path))


def test_paths_are_also_tried_under_the_data_variable(tmp_path, monkeypatch):
    _strip(tmp_path / "here" / "s.png")
    monkeypatch.setenv("JAXVSNERF_DATA", str(tmp_path))
    assert len(load_dataset(DataSpec(kind="strip", path="here/s.png")).inputs.images) == 16
    with pytest.raises(FileNotFoundError, match=f"nor at {tmp_path}/here/t.png"):
        find_path("here/t.png")
    monkeypatch.delenv("JAXVSNERF_DATA")
    with pytest.raises(FileNotFoundError, match="JAXVSNERF_DATA, tried next, is not set"):
        find_path("here/s.png")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "film"}, "data.kind: expected one of auto, strip, folder, video, transforms"),
        ({"rig": "zero"}, "orbit or grid:RxC (R rows of C views), got 'zero'"),
        ({"rig": "grid:0x4"}, "got 'grid:0x4'"),
        (
            {"distance": "far"},
            "data.distance: expected a number above 0, up to 1000000 cube sides, or None",
        ),
        (
            {"mask": "magic"},
            "data.mask: expected one of auto, alpha, background, none, got 'magic'",
        ),
        ({"path": ""}, "data.path: expected the path of the pictures with data.kind='strip'"),
        ({"downscale": 0}, "data.downscale: expected a whole number of 1 to 1024, got 0"),
        ({"downscale": 1.5}, "data.downscale: expected a whole number"),
        (
            {"views": (0, -1)},
            "data.views: expected a list of whole numbers of 0 to 1000000, got (0, -1)",
        ),
        (
            {"mask_threshold": 0.0},
            "data.mask_threshold: expected a number above 0, below 1, or None, got 0.0",
        ),
        (
            {"background": "black"},
            "data.background: expected a list of 3 numbers of 0 to 1, or an empty list",
        ),
        ({"background": (1, 2, 3)}, "data.background: expected a list of 3"),
        ({"background": (float("nan"), 0, 0)}, "data.background: expected a list of 3"),
        ({"similarity": (1.0, 2.0)}, "data.similarity: expected a list of 4 numbers"),
        ({"similarity": (-1.0, 0, 0, 0)}, "with a positive scale"),
        ({"kind": "toy", "downscale": 2}, "leave data.downscale at 1"),
    ],
)
def test_a_wrong_field_is_refused_when_the_spec_is_made(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        DataSpec(**{"kind": "strip", "path": "x.png", **changes})


@pytest.mark.parametrize(
    ("views", "message"), [((0, 16), r"views \[16\] do not exist"), ((2, 2), "views must differ")]
)
def test_views_that_do_not_exist_or_repeat_are_refused(tmp_path, views, message):
    path = _strip(tmp_path / "s.png")
    for spec in (DataSpec(kind="strip", path=path, views=views), DataSpec(kind="toy", views=views)):
        with pytest.raises(ValueError, match=message):
            load_dataset(spec)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (((), (30.0,), 1.5, 40.0), "azimuth_deg must be given for rig 'orbit'"),
        (((0.0,), (), 1.5, 40.0), "elevation_deg must be given for rig 'orbit'"),
        (((0.0,), (0.0,), None, 40.0), "distance must be given for rig 'orbit'"),
        (((0.0,), (0.0,), 1.5, None), "fov_deg must be given for rig 'orbit'"),
        (((0.0, 1.0, 2.0), (1.0, 2.0), 1.5, 40.0), "elevation_deg has 2 angles for 3 azimuths"),
        (((0.0,), (100.0,), 1.5, 40.0), "elevation_deg must lie within"),
        (((0.0,), (0.0,), 0.0, 40.0), "distance must be positive"),
        (((0.0,), (0.0,), 1.5, 180.0), "fov_deg must lie within"),
        (((float("nan"),), (0.0,), 1.5, 40.0), "must be finite"),
    ],
)
def test_an_impossible_orbit_is_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        complete_rig("orbit", *numbers)


@needs_data
def test_the_real_strip_scores_what_torchmetrics_says_against_its_truth():
    data = load_dataset(
        DataSpec(kind="strip", path="syncdreamer/chicken/strip.png", truth="syncdreamer/chicken/gt")
    )
    psnr = -10 * np.log10(np.mean((data.inputs.images - data.clean) ** 2, axis=(1, 2, 3)))
    # parity/metrics_chicken.json: the inputs themselves score 25.41 dB.
    assert psnr.mean() == pytest.approx(25.413, abs=2e-3)
