"""Rows of results in a CSV file, as experiments that go on where they stopped keep them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxvsnerf.system.files import write_text

Row = dict[str, str]


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """The rows of a results file, none where there is no file.

    Raises:
      ValueError: it has other columns.
    """
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is None or tuple(reader.fieldnames) != tuple(columns):
            raise ValueError(f"{path}: expected the columns {', '.join(columns)}")
        return list(reader)


def write_rows(path: Path, rows: Iterable[Row], columns: Sequence[str], key: Sequence[str]) -> None:
    """Writes a results file, whole or not at all, sorted by the columns `key`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: [row[name] for name in key]))
    write_text(path, text.getvalue())
