"""Writes the page of a study: pictures, scores and time of every object, failures first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxvsnerf.metrics.scores import METRICS
from jaxvsnerf.page.report import METRIC_TITLES
from jaxvsnerf.page.template import page_template
from jaxvsnerf.study.results import PHASES, SCORES, Record, result_means, result_row
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.measure import duration

PICTURES = ("input", "rendering", "truth")


def write_study(
    path: str | Path, title: str, records: Sequence[Record], total: int, settings: Mapping[str, Any]
) -> None:
    """Writes the page atomically.

    Args:
      path: HTML file to write.
      title: see `render_study`, as are all that follow.
      records: records of the objects done so far.
      total: number of objects in the study.
      settings: config that all objects share.
    """
    write_text(path, render_study(title, records, total, settings))


def render_study(
    title: str, records: Sequence[Record], total: int, settings: Mapping[str, Any]
) -> str:
    """Renders the page as one string, with links to <name>/report.html and <name>/log.txt.

    Args:
      title: heading.
      records: records of the objects done so far, see `results`.
      total: number of objects in the study.
      settings: config that all objects share, nested mappings.

    Returns:
      HTML with every picture, style and script inside.

    Raises:
      MissingExtra: jinja2 is missing.
    """
    done = [record for record in records if record["status"] == "ok"]
    means = result_means(records)
    longest = max((record["total"] for record in done), default=0.0) or 1.0
    return page_template("study.html.jinja").render(
        title=title,
        facts=_facts(records, total, means),
        failed=[record for record in records if record["status"] != "ok"],
        rows=[_row(record, longest) for record in done],
        kinds=[kind for kind in PICTURES if any(r["pictures"].get(kind) for r in done)],
        titles={score: METRIC_TITLES.get(score, score) for score in SCORES},
        means=means,
        phases=PHASES,
        settings=settings,
        unlike=sum(record["inputs"] == "truth" for record in done),
    )


def _facts(records: Sequence[Record], total: int, means: Mapping) -> dict[str, str]:
    """Facts shown large under the heading, label -> text."""
    facts = {"objects": f"{len(records)} of {total}" if len(records) < total else str(total)}
    for metric, text in (("psnr", "{:.2f} dB"), ("ssim", "{:.4f}")):
        if metric in means:
            facts[f"mean {metric.upper()}"] = text.format(means[metric][0])
    if "seconds" in means:
        facts["mean time"] = duration(means["seconds"][0])
    failed = sum(record["status"] != "ok" for record in records)
    return {**facts, "failed": str(failed)} if failed else facts


def _row(record: Record, longest: float) -> dict[str, Any]:
    """Table row of a record: its values, gains over the inputs, and shares of time."""
    row = result_row(record)
    given = record["input_scores"]
    return {
        **row,
        "pictures": {kind: record["pictures"].get(kind) for kind in PICTURES},
        "gains": {m: row[m] - given[m] for m in METRICS if m in given and row[m] is not None},
        "shares": [
            (phase, s, 100.0 * s / longest)
            for phase in PHASES
            if (s := record["seconds"].get(phase)) is not None
        ],
    }
