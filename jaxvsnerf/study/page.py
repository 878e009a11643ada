"""The page of a study: every object's pictures, scores and time, failures first."""

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
    """Writes the page, whole or not at all; arguments as `render_study`."""
    write_text(path, render_study(title, records, total, settings))


def render_study(
    title: str, records: Sequence[Record], total: int, settings: Mapping[str, Any]
) -> str:
    """The page as one string; it links to <name>/report.html and <name>/log.txt beside it.

    Args:
      title: heading.
      records: of the objects done so far, see `results`.
      total: how many objects the study has.
      settings: the config that all objects share, nested mappings.

    Returns:
      HTML with every picture, style and script inside.

    Raises:
      ImportError: jinja2 is missing.
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
    """What stands large under the heading."""
    facts = {"objects": f"{len(records)} of {total}" if len(records) < total else str(total)}
    for metric, text in (("psnr", "{:.2f} dB"), ("ssim", "{:.4f}")):
        if metric in means:
            facts[f"mean {metric.upper()}"] = text.format(means[metric][0])
    if "seconds" in means:
        facts["mean time"] = duration(means["seconds"][0])
    failed = sum(record["status"] != "ok" for record in records)
    return {**facts, "failed": str(failed)} if failed else facts


def _row(record: Record, longest: float) -> dict[str, Any]:
    """A record as the table shows it: its row, gains over the inputs, shares of time."""
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
