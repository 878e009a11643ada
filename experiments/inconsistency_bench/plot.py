"""Draws a chart of differences with their intervals as a self-contained SVG file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from experiments.inconsistency_bench.statistics import Difference
from jaxvsnerf.page.charts import linear_ticks

WIDTH, LEFT, RIGHT, ROW, TOP, BOTTOM = 720, 170, 20, 26, 34, 44
# Legible on white and on black.
TEXT, LINE, GOOD, BAD = "#7d8590", "#7d859055", "#2f9e5f", "#d9534f"


def interval_chart(title: str, unit: str, rows: Sequence[tuple[str, Difference]]) -> str:
    """Draws a dot and a whisker for each row, and a line at 0.

    Args:
      title: title of the chart.
      unit: unit of the differences.
      rows: (name, difference).

    Returns:
      An <svg> document, all text escaped.
    """
    lows, highs = [row[1].low for row in rows], [row[1].high for row in rows]
    ticks = linear_ticks(min(0.0, *lows), max(1e-3, *highs), 6)
    height = TOP + ROW * len(rows) + BOTTOM
    scale = (WIDTH - LEFT - RIGHT) / (ticks[-1] - ticks[0])

    def to_x(value: float) -> float:
        return LEFT + (value - ticks[0]) * scale

    parts = [_text(LEFT, 20, title, "start", 600)]
    for tick in ticks:
        x, width = to_x(tick), 2 if tick == 0 else 1
        parts.append(_line(x, TOP, x, height - BOTTOM, TEXT if tick == 0 else LINE, width))
        parts.append(_text(x, height - BOTTOM + 18, f"{tick:+.4g}" if tick else "0", "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 8, unit, "middle"))
    for index, (name, found) in enumerate(rows):
        y = TOP + ROW * (index + 0.5)
        color = GOOD if found.low > 0 else BAD if found.high < 0 else TEXT
        parts.append(_text(LEFT - 12, y + 4, name, "end"))
        parts.append(_line(to_x(found.low), y, to_x(found.high), y, color, 3))
        parts.append(f'<circle cx="{to_x(found.mean):.1f}" cy="{y:.1f}" r="5" fill="{color}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}" font-family="sans-serif" font-size="13">'
        f"{''.join(parts)}</svg>\n"
    )


def _line(x1: float, y1: float, x2: float, y2: float, color: str, width: float) -> str:
    points = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {points} stroke="{color}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str, weight: int = 400) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text {place} fill="{TEXT}">{escape(text)}</text>'
