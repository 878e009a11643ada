"""Preprocessing does what was planted, and nothing where nothing is to be done."""

import json

import jax
import numpy as np
import pytest

from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.errors import DamagedFile
from jaxvsnerf.geometry.cameras import identity_similarity, optical_axes, orbit_cameras
from jaxvsnerf.page.preparation import preparation_section
from jaxvsnerf.preprocess.denoise import noise_level, remove_noise
from jaxvsnerf.preprocess.harmonize import apply_colors, fit_colors, solve_colors
from jaxvsnerf.preprocess.outliers import find_outliers
from jaxvsnerf.preprocess.prepare import load_record, prepare_views, record_facts, save_record
from jaxvsnerf.preprocess.spec import PreprocessSpec
from jaxvsnerf.run import assemble
from jaxvsnerf.run import dataset as pictures
from jaxvsnerf.simulate.inconsistency import damage_views
from jaxvsnerf.simulate.toy import render_toy
from jaxvsnerf.types import Dataset, ViewSet

EVERYTHING = PreprocessSpec(denoise=True, harmonize=True, outliers=True)
NOTHING = PreprocessSpec(denoise=False, harmonize=False, outliers=False)
VIEWS = 8


@pytest.fixture(scope="module")
def views():
    """The toy, undamaged."""
    cameras = orbit_cameras([360.0 / VIEWS * k for k in range(VIEWS)], 30.0, 1.5, 70.0, 64, 64)
    images, masks = render_toy(cameras, supersample=2)
    names = tuple(f"{k:03d}" for k in range(VIEWS))
    axis = np.asarray(optical_axes(cameras))[0]
    return ViewSet(images, masks, cameras, np.ones(3, np.float32), names, axis)


@pytest.fixture(scope="module")
def planted(views):
    """The toy with one view moved aside, and a config that looks for it."""
    images, masks = views.images.copy(), views.masks.copy()
    images[7], masks[7] = np.roll(images[7], 8, 1), np.roll(masks[7], 8, 1)
    config = default_config()
    config.preprocess.denoise = False
    found, record = prepare_views(
        views.replace(images=images, masks=masks), PreprocessSpec(**config.preprocess)
    )
    return config, found, record


def noisy(views, sigma):
    """White noise on the object."""
    noise = sigma * np.random.default_rng(0).standard_normal(views.images.shape)
    return (views.images + views.masks[..., None] * noise).astype(np.float32)


def test_clean_views_stay_the_same_to_the_last_bit(views):
    found, record = prepare_views(views, EVERYTHING)
    np.testing.assert_array_equal(found.images, views.images)
    assert found.masks is views.masks and found.weights is None
    assert not any(record["denoise"]["changed"]) and not record["harmonize"]["changed"]
    assert record["outliers"]["weights"] == [1.0] * VIEWS


def test_nothing_is_done_unless_asked_for(views):
    found, record = prepare_views(views, NOTHING)
    assert found is views and record == {}


def test_views_without_masks_are_left_alone(views):
    bare = views.replace(masks=None)
    assert prepare_views(bare, EVERYTHING) == (bare, {})


def test_planted_gains_are_recovered():
    rng = np.random.default_rng(0)
    gains = np.exp(0.1 * rng.standard_normal((6, 3)))
    gains /= gains.mean(0)  # what all views share cannot be told
    view = rng.integers(0, 6, 20_000)
    other = (view + rng.integers(1, 6, len(view))) % 6
    true = rng.uniform(0.1, 0.9, (len(view), 3))
    true[::10] += 0.3 * rng.standard_normal((2000, 3))  # other places: not the same
    shown = rng.uniform(0.1, 0.9, true.shape)
    shown = np.where(np.arange(len(view))[:, None] % 10, true, shown)
    found, offsets = fit_colors(true * gains[view], shown * gains[other], view, other, 6)
    ratio = found * gains
    np.testing.assert_allclose(ratio / ratio.mean(0), 1.0, atol=0.01)
    assert np.abs(offsets).max() < 0.01


def test_drifting_colours_come_nearer_to_the_truth(views):
    rng = np.random.default_rng(1)
    gains = np.exp(0.1 * rng.standard_normal((VIEWS, 3)))
    gains /= gains.mean(0)
    drifted = apply_colors(views.images, views.masks, views.background, gains, np.zeros((VIEWS, 3)))
    kept = np.ones(VIEWS, bool)
    found, offsets = solve_colors(drifted, views.masks, views.cameras, kept)
    mended = apply_colors(drifted, views.masks, views.background, found, offsets)
    solid = views.masks > 0.9
    before, after = (np.abs(x - views.images)[solid].mean() for x in (drifted, mended))
    assert after < 0.4 * before


def test_colours_change_on_the_object_alone_and_exactly():
    mask = np.array([[[0.0, 1.0, 0.5]]], np.float32)
    color, behind = np.array([0.2, 0.4, 0.6]), np.ones(3)
    image = (mask[..., None] * color + (1.0 - mask[..., None]) * behind).astype(np.float32)
    gains, offsets = np.array([[1.5, 1.0, 0.5]]), np.array([[0.0, 0.1, 0.0]])
    changed = apply_colors(image, mask, behind, gains, offsets)
    expected = mask[..., None] * (gains * color + offsets) + (1.0 - mask[..., None]) * behind
    np.testing.assert_allclose(changed, expected, atol=1e-6)
    np.testing.assert_array_equal(changed[0, 0, 0], image[0, 0, 0])


@pytest.mark.parametrize("sigma", [0.05, 0.1])
def test_noise_is_measured(sigma):
    shade = np.linspace(0.3, 0.7, 96, dtype=np.float32)[:, None, None] * np.ones((96, 96, 3))
    image = shade + sigma * np.random.default_rng(0).standard_normal(shade.shape)
    assert noise_level(image, np.ones((96, 96))) == pytest.approx(sigma, rel=0.15)
    assert noise_level(shade, np.ones((96, 96))) < 1e-3


def test_noise_is_removed_and_the_background_stays(views):
    image, mask, true = noisy(views, 0.1)[3], views.masks[3], views.images[3]
    smooth = remove_noise(image, mask, 0.1)
    np.testing.assert_array_equal(smooth[mask == 0], image[mask == 0])
    error, before = (np.mean((x - true)[mask > 0.9] ** 2) for x in (smooth, image))
    assert error < 0.7 * before


def test_moss_is_no_noise():
    """Detail as fine as noise, but light and dark in all channels."""
    grain = 0.08 * np.random.default_rng(0).standard_normal((96, 96, 1))
    moss = np.clip(np.array([0.35, 0.5, 0.2]) + grain, 0.0, 1.0).astype(np.float32)
    mask = np.ones((96, 96), np.float32)
    assert noise_level(moss, mask) == 0.0
    noisy = moss + 0.1 * np.random.default_rng(1).standard_normal(moss.shape)
    assert noise_level(noisy.astype(np.float32), mask) > 0.08


def test_flat_colours_beside_texture_have_no_noise():
    image = np.full((64, 64, 3), 0.9)
    image[:, :16] = np.random.default_rng(0).random((64, 16, 3))
    with np.errstate(invalid="raise"):
        assert noise_level(image, np.ones((64, 64))) == 0.0


def test_an_object_too_small_to_measure_has_no_noise():
    assert noise_level(np.random.default_rng(0).random((16, 16, 3)), np.zeros((16, 16))) == 0.0


@pytest.mark.parametrize("severity", ["medium", "severe"])
def test_damaged_views_are_all_kept(views, severity):
    damaged = damage_views(views, severity, 0)
    assert not find_outliers(damaged.images, damaged.masks, damaged.cameras).any()


def test_a_view_moved_aside_is_found(planted):
    _, found, record = planted
    assert np.nonzero(np.asarray(record["outliers"]["weights"]) == 0)[0].tolist() == [7]
    np.testing.assert_array_equal(found.weights, np.arange(VIEWS) != 7)
    assert record_facts(record, found.names) == {"views left out": "007"}


def test_views_of_other_colours_are_found(views):
    images = views.images.copy()
    images[4] = np.where(views.masks[4][..., None] > 0, 1.0 - images[4], images[4])
    found = find_outliers(images, views.masks, views.cameras)
    assert np.nonzero(found)[0].tolist() == [4]


def test_few_views_are_all_kept(views):
    images, masks = views.images[:5].copy(), views.masks[:5].copy()
    images[2], masks[2] = np.roll(images[2], 9, 1), np.roll(masks[2], 9, 1)
    cameras = views.cameras.replace(
        intrinsics=views.cameras.intrinsics[:5], w2c=views.cameras.w2c[:5]
    )
    assert not find_outliers(images, masks, cameras).any()


def test_weights_reach_the_loss_and_the_hull(views, planted):
    config, found, _ = planted
    config.sampling.grid_resolution, config.sampling.hull_outside = 24, 0.0
    devices = jax.local_devices()[:1]
    trust = np.asarray(assemble.make_scene(config, found, devices).trust)
    assert trust[7] == 0 and trust.mean() == pytest.approx(1.0)
    plain = np.asarray(assemble.make_scene(config, views, devices).trust)
    kept = np.arange(VIEWS) != 7
    np.testing.assert_allclose(trust[kept] / trust[0], plain[kept] / plain[0], rtol=1e-5)
    cut = assemble.make_grid(config, found.replace(weights=None)).num_support
    assert assemble.make_grid(config, found).num_support > 1.05 * cut


def test_inputs_alone_are_changed_and_only_if_asked(views, monkeypatch):
    grainy = views.replace(images=noisy(views, 0.1))
    given = Dataset(grainy, grainy, grainy.images, identity_similarity())
    monkeypatch.setattr(pictures, "read_pictures", lambda config, to_cube: given)
    config = default_config()
    config.data.kind = "toy"
    config.preprocess.update(denoise=False, harmonize=False, outliers=False)
    dataset, nothing = pictures.load_pictures(config)
    assert dataset.prepared is dataset.inputs is grainy and nothing == {}
    config.preprocess.denoise = True
    dataset, record = pictures.load_pictures(config)
    assert any(record["denoise"]["changed"]) and set(record) == {"denoise"}
    assert np.abs(dataset.prepared.images - grainy.images).max() > 0.1
    # What is shown and scored as the input stays as it came.
    assert dataset.inputs is dataset.truth is grainy and dataset.clean is grainy.images


def test_the_record_is_read_as_it_was_written(tmp_path, planted):
    _, found, record = planted
    save_record(tmp_path, record)
    views = len(found.images)
    assert load_record(tmp_path, views) == json.loads(json.dumps(record))
    assert load_record(tmp_path / "absent", views) == {}
    with pytest.raises(DamagedFile, match=f"preprocess.json: expected .* a list of {views + 1}"):
        load_record(tmp_path, views + 1)


def test_the_page_says_what_was_done_and_nothing_else(planted):
    _, found, record = planted
    (section,) = preparation_section(record, ["<b>", *found.names[1:]])
    assert section.html.count("left out") == 1 and "<td>007</td><td>left out</td>" in section.html
    assert "<b>" not in section.html and "noise" not in section.html
    kept = {"outliers": {"weights": [1.0] * VIEWS}}
    assert preparation_section(kept, found.names) == []


@pytest.mark.parametrize("value", ["auto", 1, None])
def test_settings_other_than_yes_and_no_are_refused(value):
    with pytest.raises(ValueError, match=r"preprocess\.denoise: expected True or False"):
        PreprocessSpec(denoise=value)
