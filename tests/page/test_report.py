"""The page's numbers: tables, axes, sizes."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from jaxvsnerf.page import report as page
from jaxvsnerf.page.charts import MAX_POINTS, Chart, Series, line_chart, linear_ticks, log_ticks
from jaxvsnerf.page.embed import thumbnails
from jaxvsnerf.page.report import (
    Column,
    Comparison,
    Report,
    Section,
    render_report,
    score_table,
    write_report,
)
from jaxvsnerf.system.measure import duration


def scores(psnr, **more):
    named = {"psnr": psnr, **more}
    return {
        "views": ["a", "b"],
        **{name: {"mean": value, "per_view": [value, value]} for name, value in named.items()},
    }


def test_the_table_shows_what_each_stage_adds_to_the_inputs():
    metrics = {
        **scores(26.0, ssim=0.9),
        "stages": {"stage1": scores(25.0)},
        "inputs": scores(24.5, ssim=0.8),
    }
    table = score_table(metrics)
    assert table["titles"] == ["PSNR (dB)", "SSIM"]
    rows = dict(table["rows"])
    assert list(rows) == ["inputs", "stage1", "final"]
    assert rows["inputs"][0] == (24.5, None)
    # Never scored by SSIM: a gap, not another metric's number.
    assert rows["stage1"] == [(25.0, 0.5), (None, None)]
    assert rows["final"][1] == (0.9, pytest.approx(0.1))
    assert ("stage1", "b", [25.0, None]) in table["views"]
    assert score_table(None) is None
    html = render_report(Report(title="x", metrics=metrics))
    assert "+1.50" in html and "–" in html


def test_a_run_without_anything_still_gives_a_page():
    html = render_report(Report(title="x"))
    assert html.startswith("<!doctype html>") and "<section" not in html


def test_further_columns_and_sections_need_no_change_here():
    image = np.zeros((4, 4))
    report = Report(
        title="x",
        comparisons=[Comparison("Where", ["a"], [Column("disagreement", [image])], "a note")],
        sections=[Section("Viewer", "<canvas></canvas>")],
    )
    html = render_report(report)
    assert "disagreement" in html and "a note" in html and "<canvas></canvas>" in html


def test_counts_that_do_not_match_are_refused():
    image = np.zeros((4, 4, 3))
    with pytest.raises(ValueError, match="one name per input picture"):
        render_report(Report(title="x", inputs=[image]))
    with pytest.raises(ValueError, match="column 'truth': expected 2 pictures"):
        wrong = Comparison("views", ["a", "b"], [Column("truth", [image])])
        render_report(Report(title="x", comparisons=[wrong]))


def test_many_views_are_thinned_and_the_page_says_so():
    names = [f"v{i}" for i in range(100)]
    image = np.zeros((4, 4, 3))
    many = Comparison("views", names, [Column("c", [image] * 100)])
    html = render_report(Report(title="x", comparisons=[many]))
    assert html.count("<figure>") == page.MAX_ROWS == 24
    assert "24 of 100 views" in html


def test_pictures_shrink_until_they_fit_the_page():
    noise = np.random.default_rng(0).uniform(size=(256, 256, 3)).astype(np.float32)
    (full,), (small,) = thumbnails([noise], 10**7), thumbnails([noise], 20_000)
    assert len(small) <= 20_000 < len(full)
    assert thumbnails([None], 0) == [None]


def test_a_video_is_embedded_or_linked_from_where_the_page_lies(tmp_path, monkeypatch):
    video = tmp_path / "renders" / "turn table.mp4"
    video.parent.mkdir()
    video.write_bytes(b"0123456789")
    path = tmp_path / "report.html"
    write_report(path, Report(title="x", video=video))
    # base64 of 0123456789.
    assert "data:video/mp4;base64,MDEyMzQ1Njc4OQ==" in path.read_text()
    monkeypatch.setattr(page, "VIDEO_LIMIT", 9)
    write_report(path, Report(title="x", video=video))
    assert 'href="renders/turn%20table.mp4"' in path.read_text()


def test_durations_are_for_people():
    expected = {0.418: "0.42 s", 12.34: "12.3 s", 59.97: "1 min 00 s", 3725: "1 h 02 min"}
    assert {seconds: duration(seconds) for seconds in expected} == expected


def test_linear_ticks_are_round_and_enclose_the_range():
    assert linear_ticks(14.7, 27.6, 5) == [10, 15, 20, 25, 30]
    assert linear_ticks(0, 1600, 6) == [0, 500, 1000, 1500, 2000]


def test_log_ticks_are_powers_of_ten_or_finer_where_these_are_too_few():
    assert log_ticks(1e-4, 10) == pytest.approx([1e-4, 1e-3, 1e-2, 0.1, 1, 10])
    assert log_ticks(0.009, 0.25) == pytest.approx([0.01, 0.02, 0.05, 0.1, 0.2])
    # No power of ten inside: even steps.
    assert log_ticks(0.0111, 0.0147) == pytest.approx([0.012, 0.013, 0.014])


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[], [0.0], [2.0, 2.0], [1e-12, 1e12], [-1.0, 1.0]])
def test_any_line_gives_a_chart_of_finite_numbers(values, log):
    series = [Series("a<b", range(len(values)), values)]
    svg = line_chart(Chart("t & u", series, log=log, spans=[("s<1>", 0, 5), ("s2", 5, 5)]))
    text = ElementTree.tostring(ElementTree.fromstring(svg), encoding="unicode")
    assert "nan" not in text and "inf" not in text


def test_a_long_line_is_thinned_to_means():
    svg = line_chart(Chart("t", [Series("a", np.arange(10_000), np.ones(10_000))]))
    line = ElementTree.fromstring(svg).find("polyline")
    assert len(line.get("points").split()) == MAX_POINTS
