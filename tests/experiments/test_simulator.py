"""What the simulator experiment measures, and the page it writes."""

import re

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from experiments.simulator import run
from experiments.simulator.measure import STATISTICS, _bands, measure, view_statistics
from experiments.simulator.page import Picked, write_page, write_sheet
from jaxvsnerf.page.charts import Chart, Series, chart_document
from jaxvsnerf.simulate.toy import toy_dataset


@pytest.fixture(scope="module")
def truth():
    return toy_dataset(96, 4, "clean").inputs


def statistics(truth, change, mask=None):
    image, own = truth.images[1], truth.masks[1]
    found = view_statistics(change(image), own if mask is None else mask, image, own)
    return dict(zip(STATISTICS, found, strict=True))


def test_equal_views_do_not_differ(truth):
    found = statistics(truth, lambda image: image)
    assert found["iou"] == 1 and found["sharpness"] == 1
    assert found["flow90"] < 0.05 and found["residual"] < 2e-3


def test_a_shift_is_found_and_undone(truth):
    found = statistics(
        truth, lambda image: np.roll(image, 2, 1), mask=np.roll(truth.masks[1], 2, 1)
    )
    assert found["flow"] == pytest.approx(2.0, abs=0.2)
    # Without the flow a shift by two pixels leaves far more.
    plain = np.roll(truth.images[1], 2, 1) - truth.images[1]
    assert found["residual"] < 0.5 * plain[truth.masks[1] > 0.5].std()
    assert 0.8 < found["iou"] < 1


def test_a_linear_map_of_the_colours_is_undone_and_blur_is_seen(truth):
    swap = np.array([[0.8, 0.1, 0.0], [0.0, 0.9, 0.0], [0.1, 0.0, 0.7]], np.float32)
    mapped = truth.images[1] @ swap + 0.05
    left = (mapped - truth.images[1])[truth.masks[1] > 0.5].std()
    # The flow that is undone first takes some of the colour for a shift.
    assert statistics(truth, lambda image: mapped)["residual"] < 0.4 * left
    blurred = statistics(truth, lambda image: gaussian_filter(image, (1, 1, 0)))
    assert blurred["sharpness"] < 0.8


def test_bands_are_where_the_difference_is():
    everywhere = np.ones((96, 96), bool)
    # A Gaussian of s pixels leaves exp(-(2 pi s / 32)^2 / 2) of a wave of 32 pixels: between
    # 4 and 8 pixels 0.735 - 0.291, of 1 pixel 1 - 0.981.
    wave = np.broadcast_to(np.sin(np.arange(96) * 2 * np.pi / 32)[:, None, None], (96, 96, 3))
    bands = np.array(list(_bands(wave, everywhere))) / wave.std()
    assert bands[3] == pytest.approx(0.444, abs=0.06) and bands[0] == pytest.approx(0.019, abs=0.01)
    noise = np.random.default_rng(0).standard_normal((96, 96, 3))
    fine = list(_bands(noise, everywhere))
    assert fine == sorted(fine, reverse=True) and fine[0] > 0.8


@pytest.mark.slow
def test_tables_charts_and_page_are_written(truth, tmp_path):
    dataset = toy_dataset(96, 4, "medium")
    pair = dataset.replace(truth=truth, clean=truth.images)
    rows = run.calibrate(pair, 2, None)
    assert len(rows) == 4 and rows[0]["angle_deg"] == 0
    assert rows[2]["psnr"] == pytest.approx(
        measure(dataset.inputs, truth, None)["psnr"][2], abs=1e-3
    )
    alone = run.components(truth)
    assert {row["component"] for row in alone} == set(run.COMPONENTS)
    levels = run.severities({"toy": truth}, 1)
    assert levels[0]["psnr"] > levels[1]["psnr"] > levels[2]["psnr"]
    charts = {"calibration": chart_document(run.calibration_charts(rows))}
    tables = {"components": alone, "severities": levels}
    picked = [Picked("a & b", [("row <1>", truth.images)])]
    write_page(tmp_path / "index.html", charts, tables, picked)
    text = (tmp_path / "index.html").read_text()
    assert "a &amp; b" in text and "row &lt;1&gt;" in text and "<1>" not in text
    assert not re.search(r'(src|href)="http', text)
    write_sheet(tmp_path / "sheet.webp", picked[0].rows)
    assert (tmp_path / "sheet.webp").stat().st_size > 1000


def test_a_chart_document_stands_alone():
    chart = Chart("a < b", [Series("one", [0, 1], [1.0, 2.0]), Series("two", [0, 1], [2.0, 1.0])])
    text = chart_document([chart] * 3, columns=2)
    assert text.count("<polyline") == 6 and text.count("a &lt; b") == 6
    assert "var(" not in text and 'xmlns="http://www.w3.org/2000/svg"' in text
