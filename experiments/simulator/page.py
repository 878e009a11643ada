"""Writes the page and the sheet of real and simulated pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxvsnerf.page.embed import thumbnail
from jaxvsnerf.pictures.images import resize
from jaxvsnerf.system.files import replacing, write_text
from jaxvsnerf.system.png import to_pillow

STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { margin: 0 auto; max-width: 1100px; padding: 1rem; }
svg, img { max-width: 100%; height: auto; } img { background: #fff; border-radius: 6px; }
h2 { margin-top: 2.5rem; } p { margin: .8rem 0 .2rem; }
.table { overflow-x: auto; } td, th { padding: .1rem .6rem; text-align: right; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
"""


class Picked(NamedTuple):
    """Pictures under one heading.

    Attributes:
      title: the heading.
      rows: (label, pictures [V, height, width, 3]).
    """

    title: str
    rows: Sequence[tuple[str, np.ndarray]]


def write_page(
    path: Path,
    charts: Mapping[str, str],
    tables: Mapping[str, Sequence[Mapping]],
    picked: Sequence[Picked],
) -> None:
    """Writes a self-contained HTML file.

    Args:
      path: the file.
      charts: name -> SVG.
      tables: name -> rows.
      picked: pictures to show.
    """
    parts = [f"<h2>{escape(name.capitalize())}</h2>{chart}" for name, chart in charts.items()]
    for group in picked:
        parts.append(f"<h2>{escape(group.title)}</h2>")
        for label, images in group.rows:
            uri = thumbnail(_beside(images), 1100)
            parts.append(f'<p>{escape(label)}</p><img alt="{escape(label)}" src="{uri}">')
    for name in ("components", "severities"):
        parts.append(f"<h2>{escape(name.capitalize())} in figures</h2>{_table(tables[name])}")
    head = (
        '<meta charset="utf-8"><title>Simulated inconsistency</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style>"
    )
    body = f"<h1>Simulated inconsistency beside real</h1>{''.join(parts)}"
    write_text(path, f'<!doctype html><html lang="en">{head}{body}</html>\n')


def write_sheet(path: Path, rows: Sequence[tuple[str, np.ndarray]]) -> None:
    """Writes rows of pictures below each other as one picture, 1,000 pixels wide."""
    strips = [_beside(images) for _, images in rows]
    width = min(strip.shape[1] for strip in strips)
    whole = np.concatenate(
        [resize(strip, 1000, round(1000 * len(strip) / width)) for strip in strips]
    )
    with replacing(path) as temporary:
        to_pillow(whole).save(temporary, quality=80)


def _beside(images: np.ndarray) -> np.ndarray:
    """Joins pictures [V, height, width, 3] side by side, [height, V width, 3]."""
    return np.concatenate(list(images), 1)


def _table(rows: Sequence[Mapping]) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row.values()) + "</tr>"
        for row in rows
    )
    return f'<div class="table"><table><tr>{head}</tr>{body}</table></div>'
