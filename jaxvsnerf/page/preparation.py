"""Report section on the preprocessing of each input view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from jaxvsnerf.page.report import Section


def preparation_section(
    record: Mapping[str, Mapping[str, Any]], names: Sequence[str]
) -> list[Section]:
    """Builds a table with the noise, weight, gains and offsets of each view.

    Args:
      record: preprocessing record, see `prepare_views`.
      names: V names of the views.

    Returns:
      The section in a list; an empty list if no view was changed.
    """
    columns: dict[str, list[str]] = {}
    if (step := record.get("denoise")) and any(step["changed"]):
        removed = zip(step["noise"], step["changed"], strict=True)
        columns["noise"] = [f"{level:.3f}{', removed' if done else ''}" for level, done in removed]
    if (step := record.get("outliers")) and not all(step["weights"]):
        columns["weight"] = [f"{w:g}" if w else "left out" for w in step["weights"]]
    if (step := record.get("harmonize")) and step["changed"]:
        columns["gain of red, green, blue"] = [_numbers(one, "{:.2f}") for one in step["gains"]]
        columns["offset"] = [_numbers(one, "{:+.3f}") for one in step["offsets"]]
    if not columns:
        return []
    rows = zip(names, *columns.values(), strict=True)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    head = "".join(f"<th>{escape(title)}</th>" for title in ("view", *columns))
    return [
        Section(
            "What was done to the input views",
            f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>',
        )
    ]


def _numbers(values: Sequence[float], form: str) -> str:
    return ", ".join(form.format(value) for value in values)
