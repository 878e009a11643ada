"""CSV files of result rows, for experiments that continue after an interruption."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxvsnerf.errors import InputError
from jaxvsnerf.system.files import write_text

Row = dict[str, str]


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Reads the rows of a results file; [] if the file is missing.

    Raises:
      InputError: the file has other columns.
    """
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is None or tuple(reader.fieldnames) != tuple(columns):
            raise InputError(f"{path}: expected the columns {', '.join(columns)}")
        return list(reader)


def write_rows(path: Path, rows: Iterable[Row], columns: Sequence[str], key: Sequence[str]) -> None:
    """Writes a results file, whole or not at all.

    Args:
      path: the file.
      rows: column -> text.
      columns: all columns, in order.
      key: columns to sort by.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: [row[name] for name in key]))
    write_text(path, text.getvalue())
