"""Finds the views in a picture of many: rows, columns, and gaps between the views."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

# Smallest view that is looked for, and the widest gap as a share of a view.
LEAST_SIDE, WIDEST_GAP = 4, 0.25
# Largest mean difference of a gap's pixels from their median; JPEG blurs gaps a little.
GAP_NOISE = 0.04
# A sheet of as many rows as columns divides evenly with and without gaps: there, gaps must differ
# this much from the pixels beside them.
GAP_CONTRAST = 0.15


class Layout(NamedTuple):
    """Where square views lie in a picture.

    Attributes:
      rows: rows of views.
      columns: views in a row.
      side: side of a view in pixels.
      gap: pixels between two views.
      edge: pixels before the first view and after the last.
    """

    rows: int
    columns: int
    side: int
    gap: int = 0
    edge: int = 0

    def places(self) -> list[tuple[int, int]]:
        """(top, left) of each view, row by row."""
        step = self.side + self.gap
        return [
            (self.edge + row * step, self.edge + column * step)
            for row in range(self.rows)
            for column in range(self.columns)
        ]

    def __str__(self) -> str:
        shape = f"{self.rows} x {self.columns} views (rows x columns) of {self.side} pixels"
        return f"{shape} with gaps of {self.gap} pixels" if self.gap else shape


def find_layout(picture: np.ndarray, rows: int, columns: int) -> Layout | None:
    """Finds the squares in a picture of rows x columns views, or of as many in another shape.

    The given shape comes first; then come gaps between the views (torchvision's `make_grid` pads
    by 2 pixels), then other shapes of as many views, read row by row.

    Args:
      picture: [height, width, 3] in [0, 1].
      rows: rows of the rig's sheet.
      columns: columns of the rig's sheet.

    Returns:
      The layout, or None if the picture divides into no such squares.
    """
    height, width = picture.shape[:2]
    count = rows * columns
    shapes = [(rows, columns)]
    shapes += [(n, count // n) for n in range(1, count + 1) if count % n == 0 and n != rows]
    for shape in shapes:
        for layout in _with_gaps(*shape, height, width):
            if _has_gaps(picture, layout):
                return layout
        if layout := evenly(*shape, height, width):
            return layout
    return None


def evenly(rows: int, columns: int, height: int, width: int) -> Layout | None:
    """The layout of squares without gaps that fill a picture.

    Args:
      rows: rows of views.
      columns: columns of views.
      height: height of the picture in pixels.
      width: width of the picture in pixels.

    Returns:
      The layout, or None if squares do not fill the picture.
    """
    side = height // rows
    return Layout(rows, columns, side) if (height, width) == (side * rows, side * columns) else None


def _with_gaps(rows: int, columns: int, height: int, width: int) -> Iterator[Layout]:
    """Layouts with gaps that fill a picture: with a gap round all views as well, or without."""
    for around in (1, -1):
        if rows != columns:
            # height = rows (side + gap) + around gap, and the same for the width.
            top, bottom = width * rows - height * columns, around * (rows - columns)
            gaps = [top // bottom] if top % bottom == 0 else []
        else:
            gaps = range(1, int(WIDEST_GAP * height / rows) + 1)
        for gap in gaps:
            step, rest = divmod(height - around * gap, rows)
            side = step - gap
            if gap < 1 or rest or side < LEAST_SIDE or gap > WIDEST_GAP * side:
                continue
            layout = Layout(rows, columns, side, gap, gap if around == 1 else 0)
            if columns * step + around * gap == width:
                yield layout


def _has_gaps(picture: np.ndarray, layout: Layout) -> bool:
    """Whether the pixels outside the views have one colour."""
    outside = np.ones(picture.shape[:2], bool)
    rim = np.zeros(picture.shape[:2], bool)
    for top, left in layout.places():
        inner = np.s_[top + 1 : top + layout.side - 1, left + 1 : left + layout.side - 1]
        outside[top : top + layout.side, left : left + layout.side] = False
        rim[top : top + layout.side, left : left + layout.side] = True
        rim[inner] = False
    pixels = picture[outside]
    color = np.median(pixels, axis=0)
    if np.abs(pixels - color).mean() > GAP_NOISE:
        return False
    if layout.rows != layout.columns:
        return True
    return float(np.abs(picture[rim] - color).max(-1).mean()) > GAP_CONTRAST
