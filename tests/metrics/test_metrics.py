"""Scores: equal to the references, and to closed forms."""

import csv
import json
import math

import jax
import numpy as np
import pytest

from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.metrics.disagreement import disagreement, roc_auc
from jaxvsnerf.metrics.psnr import psnr
from jaxvsnerf.metrics.scores import (
    PSNR_CAP,
    gather_metrics,
    score_views,
    write_metrics_csv,
    write_metrics_json,
)
from jaxvsnerf.metrics.ssim import ssim
from jaxvsnerf.run.dataset import load_dataset


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=(24, 30, 3))
    image = np.clip(truth + 0.1 * rng.normal(size=truth.shape), 0, 1)
    return image.astype(np.float32), truth.astype(np.float32)


def ssim_by_loops(image, truth, crop):
    """SSIM window by window in float64, reflected at the border, as torchmetrics does."""
    image, truth = np.asarray(image, np.float64), np.asarray(truth, np.float64)
    taps = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    window = np.outer(taps, taps) / taps.sum() ** 2
    data_range = max(np.ptp(image), np.ptp(truth))
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    pad = ((5, 5), (5, 5), (0, 0))
    a, b = np.pad(image, pad, mode="reflect"), np.pad(truth, pad, mode="reflect")
    height, width, channels = image.shape
    values = np.zeros(image.shape)
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                p, q = a[y : y + 11, x : x + 11, c], b[y : y + 11, x : x + 11, c]
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
                cov = (window * (p - mp) * (q - mq)).sum()
                values[y, x, c] = ((2 * mp * mq + c1) * (2 * cov + c2)) / (
                    (mp**2 + mq**2 + c1) * (vp + vq + c2)
                )
    return values[crop : height - crop, crop : width - crop].mean()


@pytest.mark.parametrize("crop", [0, 5])
def test_ssim_equals_its_definition_window_by_window(pair, crop):
    assert float(ssim(*pair, crop=crop)) == pytest.approx(ssim_by_loops(*pair, crop), abs=1e-6)


def test_a_constant_offset_has_the_psnr_of_its_logarithm(pair):
    _, truth = pair
    for offset in (0.5, 0.1, 0.003):
        # Mean squared error is offset^2.
        expected = -20 * math.log10(offset)
        assert float(psnr(truth * 0, truth * 0 + offset)) == pytest.approx(expected, abs=1e-4)


def test_a_picture_equals_itself_and_scores_are_symmetric(pair):
    image, truth = pair
    assert float(psnr(truth, truth)) == math.inf
    assert float(ssim(truth, truth)) == pytest.approx(1.0, abs=1e-6)
    assert float(ssim(image, truth)) == pytest.approx(float(ssim(truth, image)), abs=1e-6)
    assert float(psnr(image, truth)) == pytest.approx(float(psnr(truth, image)), abs=1e-5)


def test_scores_have_finite_gradients_on_white(pair):
    white = np.ones_like(pair[0])
    grads = jax.grad(lambda image: ssim(image, white - 0.25).sum())(white)
    assert np.isfinite(grads).all()


def test_a_nearly_white_pair_keeps_float64_accuracy():
    # White backgrounds are where the uncentred float32 form is off by 1.4e-4.
    rng = np.random.default_rng(1)
    truth = np.ones((40, 40, 3)) - 0.002 * rng.uniform(size=(40, 40, 3))
    truth[15:20, 15:20] = 0.0
    image = truth - 0.001 * rng.uniform(size=truth.shape)
    got = float(ssim(image.astype(np.float32), truth.astype(np.float32)))
    assert got == pytest.approx(ssim_by_loops(image, truth, 0), abs=1e-4)


def test_real_pictures_score_as_the_references_say(data_folder):
    spec = DataSpec(
        kind="strip",
        path=str(data_folder / "syncdreamer/chicken/strip.png"),
        truth=str(data_folder / "syncdreamer/chicken/gt"),
    )
    dataset = load_dataset(spec)
    scores = score_views(dataset.inputs.images, dataset.clean, dataset.inputs.names)
    reference = json.loads((data_folder / "parity/metrics_chicken.json").read_text())
    for name in ("psnr", "ssim", "ssim_crop5"):
        np.testing.assert_allclose(scores[name]["per_view"], reference[name]["per_view"], atol=1e-4)
        assert scores[name]["mean"] == pytest.approx(reference[name]["mean"], abs=1e-4)


def test_the_mean_is_of_the_views_and_identical_ones_stay_json(pair, tmp_path):
    image, truth = pair
    scores = score_views([image, truth], [truth, truth], ["a", "b"])
    assert scores["psnr"]["per_view"][1] == PSNR_CAP
    assert scores["psnr"]["mean"] == pytest.approx(np.mean(scores["psnr"]["per_view"]))
    metrics = gather_metrics({"stage1": scores, "stage2": scores}, inputs=None)
    write_metrics_json(tmp_path / "eval" / "metrics.json", metrics)
    assert json.loads((tmp_path / "eval" / "metrics.json").read_text()) == metrics
    write_metrics_csv(tmp_path / "metrics.csv", metrics)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [(row["model"], row["view"]) for row in rows[:3]] == [
        ("stage1", "a"),
        ("stage1", "b"),
        ("stage2", "a"),
    ]
    assert float(rows[0]["ssim"]) == pytest.approx(scores["ssim"]["per_view"][0], abs=1e-6)


def test_pictures_that_cannot_be_scored_are_refused(pair):
    image, truth = pair
    broken = np.where(np.arange(3) == 1, np.nan, image)
    for images, truths, names, message in (
        ([image], [truth, truth], ["a"], "as many pictures"),
        ([image[:-1]], [truth], ["a"], "view a"),
        ([(255 * image).astype(np.uint8)], [truth], ["a"], "divide 8-bit pictures"),
        ([broken.astype(np.float32)], [truth], ["a"], "NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            score_views(images, truths, names)


def test_disagreement_is_the_root_mean_square_over_channels():
    own, consensus = np.zeros((2, 4, 5, 3)), np.zeros((2, 4, 5, 3))
    own[1, 2, 3] = [0.3, 0.0, 0.4]
    found = disagreement(own, consensus)
    # sqrt((0.09 + 0.16) / 3), and a blur of a 64th of a pixel.
    assert found[1, 2, 3] == pytest.approx(0.5 / np.sqrt(3)) and np.count_nonzero(found) == 1
    with pytest.raises(ValueError, match="expected pictures of one shape"):
        disagreement(own, consensus[0])


def test_disagreement_of_large_pictures_is_blurred_by_a_pixel_of_256():
    pictures = np.zeros((1, 256, 256, 3))
    pictures[0, 100:, :] = 1.0
    found = disagreement(pictures, np.zeros_like(pictures))[0, :, 7]
    # A step blurred by a Gaussian of deviation 1 at distance 1/2: Phi(0.5) = 0.69.
    assert found[100] == pytest.approx(0.69, abs=0.02) and found[110] == pytest.approx(1.0)
    assert found[99] == pytest.approx(0.31, abs=0.02) and found[90] == pytest.approx(0.0)


def test_the_area_under_the_roc_curve_counts_pairs():
    scores = np.array([0.1, 0.4, 0.35, 0.8, 0.4])
    positive = np.array([False, False, True, True, True])
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[positive] for n in scores[~positive]]
    assert roc_auc(scores, positive) == pytest.approx(np.mean(pairs))
    assert roc_auc(scores, np.ones(5, bool)) is None and roc_auc(scores, np.zeros(5, bool)) is None
