"""Writes `report.html`, a self-contained page about one run that fetches nothing.

The page embeds a 3D viewer for the mesh and a slider over two pictures of a view; everything
else also works without scripts.

A report is plain data. Each kind of content is a field of `Report`; empty fields are not shown.
To show another picture per view add a `Column`; other views, a `Comparison`; another curve, a
`Chart`; anything else, a `Section` with its own HTML.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jaxvsnerf.metrics.scores import metric_names, models
from jaxvsnerf.page.charts import Chart, line_chart
from jaxvsnerf.page.embed import file_uri, thumbnails
from jaxvsnerf.page.model_viewer import viewer_module
from jaxvsnerf.page.template import page_template
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.measure import duration

PICTURE_BUDGET = 7_000_000
VIDEO_LIMIT = 8_000_000
MODEL_LIMIT = 16_000_000
# Rows of a comparison: of more rows an even subset is shown, and the page says so.
MAX_ROWS = 24
MAX_INPUTS = 32
METRIC_TITLES = {
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "ssim_crop5": "SSIM, cropped 5 px",
    "lpips": "LPIPS ↓",
    "chamfer": "Chamfer ↓",
    "iou": "volume IoU",
    "normal_deg": "normals (degrees) ↓",
}


@dataclass(frozen=True)
class Column:
    """A column of a comparison, one picture per view: input, rendering, truth, depth ...

    Attributes:
      title: heading.
      images: a picture [H, W, 3], [H, W, 4] or [H, W] in [0, 1] per view, or None for a view
        without this picture.
      captions: a short text per view (such as its PSNR), or empty.
    """

    title: str
    images: Sequence[np.ndarray | None]
    captions: Sequence[str] = ()


@dataclass(frozen=True)
class Comparison:
    """Pictures of views side by side, one row per view, and a slider over two of the pictures.

    Attributes:
      title: heading.
      names: V names of the rows.
      columns: columns of V pictures each.
      note: a sentence below the heading, or ''.
      pair: titles of the columns initially left and right of the slider, or () for the first
        two.
    """

    title: str
    names: Sequence[str]
    columns: Sequence[Column]
    note: str = ""
    pair: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """Further content, given as HTML.

    Attributes:
      title: heading.
      html: trusted HTML, inserted unescaped: escape names from outside.
    """

    title: str
    html: str


@dataclass(frozen=True)
class Report:
    """Content of the page.

    Attributes:
      title: heading, such as the object's name.
      facts: label -> short text, shown large under the heading.
      inputs: N input pictures in order.
      input_names: N names, shown below the pictures.
      comparisons: views side by side.
      charts: training curves.
      metrics: content of `metrics.json`, or None without truth.
      settings: the resolved configuration, nested mappings.
      timing: phase -> seconds.
      video: turntable .mp4, embedded up to 8 MB, else linked.
      model: mesh .glb for the viewer, embedded up to 16 MB, else linked; must need no decoder
        (Draco, meshopt, Basis), which viewers would fetch.
      files: name of a file beside the page -> description.
      sections: further content, after the comparisons.
    """

    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[np.ndarray] = ()
    input_names: Sequence[str] = ()
    comparisons: Sequence[Comparison] = ()
    charts: Sequence[Chart] = ()
    metrics: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    timing: Mapping[str, float] = field(default_factory=dict)
    video: str | Path | None = None
    model: str | Path | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    sections: Sequence[Section] = ()


def write_report(path: str | Path, report: Report) -> None:
    """Writes the page atomically; arguments and errors as for `render_report`."""
    write_text(path, render_report(report, Path(path).parent))


def render_report(report: Report, folder: str | Path = ".") -> str:
    """Renders the page as one string.

    Args:
      report: content of the page.
      folder: folder of the page, for links to a video or model too large to embed.

    Returns:
      HTML with every picture, chart and style inside.

    Raises:
      ValueError: counts of pictures, captions and names do not match, or a pair names no
        column.
      FileNotFoundError: `video` or `model` does not exist.
      MissingExtra: jinja2 is missing.
    """
    _check_counts(report)
    shown = [_spread(len(one.names), MAX_ROWS) for one in report.comparisons]
    given = _spread(len(report.inputs), MAX_INPUTS)
    images = [
        *(report.inputs[v] for v in given),
        *(
            column.images[v]
            for one, views in zip(report.comparisons, shown, strict=True)
            for v in views
            for column in one.columns
        ),
    ]
    uris = thumbnails(images, PICTURE_BUDGET)
    inputs, cells = uris[: len(given)], iter(uris[len(given) :])
    model = _embedded("model/gltf-binary", report.model, MODEL_LIMIT)
    return page_template("report.html.jinja").render(
        title=report.title,
        facts=report.facts,
        report=report,
        inputs=[(report.input_names[v], uri) for v, uri in zip(given, inputs, strict=True)],
        comparisons=[
            (one, [(one.names[v], [(next(cells), _caption(c, v)) for c in one.columns])
                   for v in views])
            for one, views in zip(report.comparisons, shown, strict=True)
        ],
        charts=[(chart, line_chart(chart)) for chart in report.charts],
        scores=score_table(report.metrics),
        timing=_timing_rows(report.timing),
        video=_embedded("video/mp4", report.video, VIDEO_LIMIT),
        video_name=_relative(report.video, folder),
        model=model,
        model_name=_relative(report.model, folder),
        viewer=viewer_module() if model else None,
    )  # fmt: skip


def score_table(metrics: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Mean scores of every model, and their gains over the input pictures.

    Args:
      metrics: content of `metrics.json`, or None.

    Returns:
      {"titles", "rows": [(model, [(value, gain over the inputs or None)])],
      "views": [(model, view, [value])]}, or None without metrics; a value is None if the model
      lacks that metric.
    """
    if metrics is None:
        return None
    names, named = metric_names(metrics), models(metrics)
    base = named.get("inputs", {})
    rows, views = [], []
    for model, scores in named.items():
        means = [scores[name]["mean"] if scores.get(name) else None for name in names]
        # Gains over the inputs are defined only on the same views.
        known = base if model != "inputs" and base.get("views") == scores["views"] else {}
        gains = [
            mean - known[name]["mean"] if mean is not None and known.get(name) else None
            for name, mean in zip(names, means, strict=True)
        ]
        rows.append((model, list(zip(means, gains, strict=True))))
        for i, view in enumerate(scores["views"]):
            row = [scores[name]["per_view"][i] if scores.get(name) else None for name in names]
            views.append((model, view, row))
    return {"titles": [METRIC_TITLES.get(n, n) for n in names], "rows": rows, "views": views}


def _embedded(kind: str, path: str | Path | None, limit: int) -> str | None:
    return None if path is None else file_uri(kind, path, limit)


def _relative(path: str | Path | None, folder: str | Path) -> str | None:
    """Path relative to `folder`, with forward slashes."""
    return None if path is None else Path(os.path.relpath(path, folder)).as_posix()


def _check_counts(report: Report) -> None:
    if len(report.inputs) != len(report.input_names):
        raise ValueError(
            f"expected one name per input picture, got {len(report.inputs)} pictures and "
            f"{len(report.input_names)} names"
        )
    for one in report.comparisons:
        for column in one.columns:
            _check_column(column, len(one.names))
        titles = [column.title for column in one.columns]
        if len(one.pair) not in (0, 2) or not set(one.pair) <= set(titles):
            raise ValueError(
                f"{one.title!r}: expected two of the columns {titles} as a pair, or none, "
                f"got {list(one.pair)}"
            )


def _check_column(column: Column, rows: int) -> None:
    if len(column.images) != rows or len(column.captions) not in (0, rows):
        raise ValueError(
            f"column {column.title!r}: expected {rows} pictures, one per view name, and as "
            f"many captions or none, got {len(column.images)} and {len(column.captions)}"
        )


def _caption(column: Column, view: int) -> str:
    return column.captions[view] if len(column.captions) else ""


def _spread(count: int, limit: int) -> list[int]:
    """At most `limit` of `count` indices, evenly spread, including the first."""
    if count <= limit:
        return list(range(count))
    return [i * count // limit for i in range(limit)]


def _timing_rows(timing: Mapping[str, float]) -> list[tuple[str, str, float]]:
    """Rows (phase, duration, percent of the total)."""
    total = sum(timing.values()) or 1.0
    return [(name, duration(s), 100.0 * s / total) for name, s in timing.items()]
