"""Draws line charts as inline SVG, without scripts; the page's style sheet sets the colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT = 520, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 24, 40
MAX_POINTS = 400
# Style of a stand-alone SVG document.
_PLAIN = (
    "polyline{stroke-width:2}.grid,.span{stroke:#7d859055}"
    ".tick{fill:#7d8590;font-size:12px}.title{fill:#7d8590;font-size:15px;font-weight:600}"
)
COLORS = ("#2f81d7", "#e0662b", "#1f9d72", "#b58108", "#cf5a8c", "#8072d8")


class Series(NamedTuple):
    """A line of a chart: a name for the legend, N positions and N values."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


class Chart(NamedTuple):
    """A line chart.

    Attributes:
      title: quantity and unit.
      series: lines of the chart.
      x_label: label of the horizontal axis.
      log: whether the vertical axis is logarithmic; values <= 0 are then left out.
      spans: (name, start, end) of labelled sections of the horizontal axis, such as stages.
    """

    title: str
    series: Sequence[Series]
    x_label: str = "step"
    log: bool = False
    spans: Sequence[tuple[str, float, float]] = ()


def line_chart(chart: Chart) -> str:
    """Draws a chart.

    Lines have the CSS classes s1 to s6 in turn, coloured by the page's `--s1` ...; text and grid
    have the classes tick, grid, span. Long lines are averaged down to MAX_POINTS points; values
    that are not finite are left out.

    Args:
      chart: the chart.

    Returns:
      An <svg> element, all text escaped.

    Raises:
      ValueError: the counts of a line's positions and values differ.
    """
    lines = [_clean(line, chart.log) for line in chart.series]
    xs = [x for line in lines for x in line[0]] + [e for span in chart.spans for e in span[1:]]
    ys = [y for line in lines for y in line[1]]
    x_low, x_high = _bounds(xs)
    y_ticks, y_low, y_high = _vertical(ys, chart.log)
    to_x = _scale(x_low, x_high, _LEFT, WIDTH - _RIGHT, False)
    to_y = _scale(y_low, y_high, HEIGHT - _BOTTOM, _TOP, chart.log)
    x_ticks = [tick for tick in linear_ticks(x_low, x_high, 6) if x_low <= tick <= x_high]
    parts = [
        *_grid(x_ticks, y_ticks, to_x, to_y),
        *_spans(chart.spans, to_x),
        *[_path(*line, i, to_x, to_y) for i, line in enumerate(lines)],
        _text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 6, "middle", chart.x_label),
    ]
    if not ys:
        parts.append(_text(WIDTH / 2, HEIGHT / 2, "middle", "nothing recorded"))
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(chart.title)}">{"".join(parts)}</svg>'
    )


def chart_document(charts: Sequence[Chart], columns: int = 2) -> str:
    """Draws charts with titles and legends as a stand-alone SVG document.

    Colours are legible on white and on black.

    Args:
      charts: the charts, row by row.
      columns: charts per row.

    Returns:
      An SVG document, all text escaped.
    """
    step_x, step_y = WIDTH + 24, HEIGHT + 48
    width, height = columns * step_x - 24, math.ceil(len(charts) / columns) * step_y
    places = [(i % columns * step_x, i // columns * step_y) for i in range(len(charts))]
    drawn = "".join(
        f'<g transform="translate({x} {y})">{_with_legend(chart)}</g>'
        for chart, (x, y) in zip(charts, places, strict=True)
    )
    colors = "".join(
        f".s{i}{{stroke:{color};fill:none}}.dot.s{i},text.s{i}{{fill:{color};stroke:none}}"
        for i, color in enumerate(COLORS, start=1)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" font-family="sans-serif" font-size="13"><style>{_PLAIN}{colors}</style>'
        f"{drawn}</svg>\n"
    )


def _with_legend(chart: Chart) -> str:
    """Draws a chart below its title and legend."""
    parts, x = [f'<text class="title" x="{_LEFT}" y="17">{escape(chart.title)}</text>'], _LEFT
    for i, line in enumerate(chart.series):
        parts.append(f'<text class="s{i % 6 + 1}" x="{x}" y="38">{escape(line.name)}</text>')
        x += 8 * len(line.name) + 20
    placed = f'<svg y="44" width="{WIDTH}" height="{HEIGHT}" '
    return "".join(parts) + line_chart(chart).replace("<svg ", placed, 1)


def linear_ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers (multiples of 1, 2 or 5 times a power of ten) that enclose a range.

    Args:
      low: lower end of the range.
      high: upper end, above `low`.
      count: approximate number of ticks.
    """
    raw = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * min((1, 2, 5, 10), key=lambda factor: abs(math.log(factor * power / raw)))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten inside a range; short ranges also get 2 and 5, or evenly spaced ticks."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 2, 5) if high / low < 500 else (1,)
    stride = math.ceil((last - first) / 8)
    steps = [factor * 10.0**i for i in range(first, last + 1, stride) for factor in factors]
    inside = [step for step in steps if low <= step <= high]
    if len(inside) >= 3:
        return inside
    return [tick for tick in linear_ticks(low, high, 5) if low <= tick <= high]


def _clean(line: Series, log: bool) -> tuple[np.ndarray, np.ndarray]:
    """Drawable points of a line, averaged down to at most MAX_POINTS."""
    x, y = np.asarray(line.x, np.float64), np.asarray(line.y, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"line {line.name!r}: expected N positions and N values, got "
                         f"{x.shape} and {y.shape}")  # fmt: skip
    kept = np.isfinite(x) & np.isfinite(y) & ((y > 0) | (not log))
    x, y = x[kept], y[kept]
    if len(x) <= MAX_POINTS:
        return x, y
    stretches = np.array_split(np.arange(len(x)), MAX_POINTS)
    means = [(x[stretch].mean(), y[stretch].mean()) for stretch in stretches]
    return tuple(np.array(means).T)


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """Minimum and maximum, widened if equal."""
    if not len(values):
        return 1.0, 10.0
    low, high = float(min(values)), float(max(values))
    if high - low > 1e-9 * max(abs(high), abs(low), 1e-9):
        return low, high
    return low - 0.1 * abs(low) - 1e-9 * (low == 0), high + 0.1 * abs(high) + 1e-9 * (low == 0)


def _vertical(ys: Sequence[float], log: bool) -> tuple[list[float], float, float]:
    """Ticks and ends of the vertical axis."""
    low, high = _bounds(ys)
    if log:
        margin = (high / low) ** 0.05
        low, high = low / margin, high * margin
        return log_ticks(low, high), low, high
    ticks = linear_ticks(low, high, 5)
    return ticks, ticks[0], ticks[-1]


def _scale(low: float, high: float, start: float, end: float, log: bool):
    """Returns a function from values to pixels."""
    low, high = (math.log(low), math.log(high)) if log else (low, high)

    def to_pixel(value: float) -> float:
        value = math.log(value) if log else value
        return start + (value - low) / (high - low) * (end - start)

    return to_pixel


def _grid(x_ticks, y_ticks, to_x, to_y) -> list[str]:
    parts = []
    for tick in y_ticks:
        y = to_y(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(_text(_LEFT - 7, y + 4, "end", f"{tick:.6g}"))
    for tick in x_ticks:
        parts.append(_text(to_x(tick), HEIGHT - _BOTTOM + 17, "middle", f"{tick:.6g}"))
    return parts


def _spans(spans, to_x) -> list[str]:
    """Dividers between spans, and names of the spans that have room for their name."""
    parts, free = [], 0.0
    for i, (name, start, end) in enumerate(spans):
        if i:
            x = f"{to_x(start):.1f}"
            parts.append(f'<path class="span" d="M{x} {_TOP - 3}V{HEIGHT - _BOTTOM}"/>')
        middle, half = (to_x(start) + to_x(end)) / 2, 3.3 * len(name)
        middle = min(middle, WIDTH - half)
        if middle - half >= free:
            parts.append(_text(middle, _TOP - 8, "middle", name))
            free = middle + half + 6
    return parts


def _path(x, y, index: int, to_x, to_y) -> str:
    if not len(x):
        return ""
    line = f"s{index % 6 + 1}"
    points = " ".join(f"{to_x(a):.1f},{to_y(b):.1f}" for a, b in zip(x, y, strict=True))
    if len(x) == 1:
        px, py = points.split(",")
        return f'<circle class="{line} dot" cx="{px}" cy="{py}" r="3"/>'
    return f'<polyline class="{line}" points="{points}"/>'


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return (
        f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
