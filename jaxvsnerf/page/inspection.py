"""Writes a page and a picture that inspect a set of posed pictures before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxvsnerf.page.embed import thumbnails
from jaxvsnerf.page.template import page_template
from jaxvsnerf.pictures.camera_lines import ABOVE, ASKEW, Line, cameras_picture, cameras_svg
from jaxvsnerf.pictures.images import difference_picture, resize, side_by_side
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.png import write_png

BUDGET = 6_000_000
TILE = 128
# Colours of pixels in both mask and hull, in the mask alone, in the hull alone.
_BOTH, _MASK_ALONE, _HULL_ALONE = (0.62, 0.65, 0.7), (0.88, 0.4, 0.17), (0.18, 0.51, 0.84)
TITLES = ("picture", "silhouette", "against its neighbours")
NOTE = (
    "Silhouette: pixels in both the mask and the visual hull are grey, pixels in the mask alone "
    "orange (no object can be there: some other view sees background), pixels in the hull alone "
    "blue. Against its neighbours: the surface that the two neighbouring views see as well, "
    "dark where colours agree, yellow from a difference of a quarter of the colour range on."
)


@dataclass(frozen=True)
class Inspection:
    """Content of an inspection page.

    Attributes:
      title: heading.
      facts: label -> short text.
      verdict: (heading, text) of each statement of the verdict.
      names: V names of the views.
      images: [V, H, W, 3] in [0, 1].
      masks: [V, h, w] opacity at the size at which views are scored.
      hull: [V, h, w] bool, silhouette of the visual hull.
      covered: [V, h, w] share of the neighbours that see a pixel's surface point.
      errors: [V, h, w] colour difference to these neighbours.
      captions: three short texts per view, in the order of TITLES.
      lines: line drawing of the cameras, see `camera_lines`.
      findings: findings of a diagnosis, each with name, score and advice; best first.
      as_given: name of the finding for the cameras as given.
    """

    title: str
    facts: Mapping[str, str]
    verdict: Sequence[tuple[str, str]]
    names: Sequence[str]
    images: np.ndarray
    masks: np.ndarray
    hull: np.ndarray
    covered: np.ndarray
    errors: np.ndarray
    captions: Sequence[tuple[str, str, str]]
    lines: Sequence[Line]
    findings: Sequence[object]
    as_given: str


def write_inspection(page: str | Path, picture: str | Path, shown: Inspection) -> None:
    """Writes the page (one self-contained file) and the picture, each atomically.

    Args:
      page: HTML file to write.
      picture: PNG file to write.
      shown: content of both.
    """
    pictures = _pictures(shown)
    uris = thumbnails([one for row in pictures for one in row], BUDGET)
    columns = len(TITLES)
    rows = [
        (name, list(zip(uris[columns * k : columns * (k + 1)], shown.captions[k], strict=True)))
        for k, name in enumerate(shown.names)
    ]
    drawings = [
        ("Cameras", cameras_svg(shown.lines, ASKEW, "the cameras round the object's cube")),
        ("From above", cameras_svg(shown.lines, ABOVE, "the cameras from above")),
    ]
    text = page_template("inspection.html.jinja").render(
        title=shown.title,
        facts=shown.facts,
        verdict=shown.verdict,
        drawings=drawings,
        titles=TITLES,
        note=NOTE,
        rows=rows,
        findings=shown.findings,
        as_given=shown.as_given,
    )
    write_text(page, text)
    write_png(picture, _sheet(pictures, shown.lines))


def silhouette_picture(mask: np.ndarray, hull: np.ndarray) -> np.ndarray:
    """Compares a mask [h, w] with the hull's silhouette [h, w] in a picture, see NOTE."""
    mask, hull = mask > 0.5, np.asarray(hull, bool)
    shown = np.ones((*mask.shape, 3), np.float32)
    shown[mask & hull], shown[mask & ~hull], shown[hull & ~mask] = _BOTH, _MASK_ALONE, _HULL_ALONE
    return shown


def _pictures(shown: Inspection) -> list[list[np.ndarray]]:
    """Three pictures per view, in the order of TITLES."""
    parts = zip(shown.images, shown.masks, shown.hull, shown.covered, shown.errors, strict=True)
    return [
        [
            image,
            _larger(silhouette_picture(mask, hull)),
            _larger(difference_picture(error, np.minimum(covered * 2.0, 1.0))),
        ]
        for image, mask, hull, covered, error in parts
    ]


def _larger(image: np.ndarray) -> np.ndarray:
    """Magnifies a picture by 3 without interpolation, so that pixels stay visible."""
    return image.repeat(3, axis=0).repeat(3, axis=1)


def _sheet(pictures: Sequence[Sequence[np.ndarray]], lines: Sequence[Line]) -> np.ndarray:
    """Camera drawings above the views: one column per view, at most eight per row."""
    height, width = pictures[0][0].shape[:2]
    tile = max(1, round(TILE * width / height)), TILE
    columns = [np.concatenate([resize(one, *tile) for one in row], 0) for row in pictures]
    rows = [side_by_side(columns[k : k + 8]) for k in range(0, len(columns), 8)]
    rows.insert(0, side_by_side([cameras_picture(lines, one) for one in (ASKEW, ABOVE)]))
    broad = max(row.shape[1] for row in rows)
    padded = [
        np.pad(row, ((0, 8), (0, broad - row.shape[1]), (0, 0)), constant_values=1.0)
        for row in rows
    ]
    return np.concatenate(padded, axis=0)
