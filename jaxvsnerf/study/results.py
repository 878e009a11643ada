"""Results of a study: a record per object, written as CSV, means and text.

A record is a plain dict about one object, stored as JSON:

    {"name", "status": "ok" | "failed", "error": one line or "", "inputs": "given" | "truth",
     "mesh": path of the true geometry or "", "total": seconds,
     "seconds": {phase: seconds}, "views": number of input views,
     "memory": peak memory of the device (of a CPU: of the process) so far, in bytes,
     "scores": {metric: mean of the final model}, "input_scores": {metric: mean of the inputs},
     "pictures": {"input" | "rendering" | "truth": data URI}}

The record of a failed object has no scores; unknown values are absent or empty.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxvsnerf.metrics.scores import METRICS
from jaxvsnerf.system.files import text_cell, write_text
from jaxvsnerf.system.records import amount, fields, maybe, named, number, one_of, text, whole

# Score columns: scores of pictures, then scores of the mesh.
SCORES = (*METRICS, "chamfer", "iou", "normal_deg")
PHASES = ("load", "train", "evaluate", "render", "export", "report")

Record = dict[str, Any]

_ANY = {
    "name": text,
    "status": one_of("ok", "failed"),
    "error": text,
    "inputs": one_of("given", "truth"),
    "total": amount,
}
_OK = {
    "seconds": named(amount),
    "views": whole(1),
    "scores": named(number),
    "input_scores": named(number),
    "pictures": named(text),
}


def check_record(value: Any, place: str) -> None:
    """Refuses what is not the record of an object, see `system.records`."""
    fields(_ANY, {"mesh": text, "memory": maybe(whole(0))})(value, place)
    check = fields(_OK) if value["status"] == "ok" else fields({}, _OK)
    check(value, place)


def result_row(record: Record) -> dict[str, str | float | None]:
    """Flattens a record to a row, column -> value; unknown values are None."""
    scores, given = record.get("scores", {}), record.get("input_scores", {})
    seconds = record.get("seconds", {})
    return {
        **{key: record[key] for key in ("name", "status", "error", "inputs")},
        "views": record.get("views"),
        **{score: scores.get(score) for score in SCORES},
        **{f"inputs_{metric}": given.get(metric) for metric in METRICS},
        "seconds": record["total"],
        **{f"{phase}_s": seconds.get(phase) for phase in PHASES},
        "peak_memory_bytes": record.get("memory"),
    }


def result_means(records: Sequence[Record]) -> dict[str, tuple[float, int]]:
    """Column -> (mean, count) over the values of objects that did not fail."""
    rows = [result_row(record) for record in records if record["status"] == "ok"]
    means = {}
    for column in rows[0] if rows else ():
        values = [row[column] for row in rows if isinstance(row[column], (int, float))]
        if values:
            means[column] = (math.fsum(values) / len(values), len(values))
    return means


def write_results_csv(path: str | Path, records: Sequence[Record]) -> None:
    """Writes a CSV with one row per object, atomically.

    Names and errors come from files. One that begins like a formula gets a ' in front, see
    `text_cell`; numbers stay numbers.

    Args:
      path: CSV file to write.
      records: at least one record.
    """
    rows = [result_row(record) for record in records]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    write_text(path, text.getvalue())


def _cell(value: str | float | None) -> str | float | None:
    if isinstance(value, str):
        return text_cell(value)
    return f"{value:.6g}" if isinstance(value, float) else value


def summary_text(records: Sequence[Record]) -> str:
    """Summary as lines of text: mean scores of inputs and models, mean time, failures."""
    means = result_means(records)
    failed = [record for record in records if record["status"] != "ok"]
    shown = [score for score in SCORES if score in means]
    lines = ["".join(f"{column:>12}" for column in ("mean", *shown, "objects"))]
    for name, prefix in (("inputs", "inputs_"), ("final", "")):
        known = [means.get(prefix + score) for score in shown]
        if any(known):
            cells = "".join(f"{pair[0]:12.4f}" if pair else " " * 12 for pair in known)
            lines.append(f"{name:>12}{cells}{max(pair[1] for pair in known if pair):>12}")
    lines = lines if len(lines) > 1 else []
    if "seconds" in means:
        lines.append(
            "{:.1f} s from the start to the end of an object, mean of {}".format(*means["seconds"])
        )
    lines += [f"failed: {record['name']}: {record['error']}" for record in failed]
    return "\n".join(lines)
