"""Makes the paper's table: scores of studies beside published scores.

    python -m experiments.gso.table --studies=DIR[,DIR...] --out=FOLDER [--objects=PREPARED]

Prints the table and writes FOLDER/results.md and FOLDER/results.csv. All objects of a row have
input views of one origin: generated and simulated views are never mixed.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from absl import flags

from experiments.gso.studies import (
    AS_GIVEN,
    PICTURE_SCORES,
    SCORES,
    THE_TRUTH,
    Scored,
    Study,
    read_study,
)
from jaxvsnerf.errors import InputError
from jaxvsnerf.run.workdir import open_workdir
from jaxvsnerf.system import cli
from jaxvsnerf.system.files import write_text

MEANS = (*SCORES, "minutes")
TITLES = {"psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS", "chamfer": "Chamfer",
          "iou": "volume IoU", "minutes": "minutes"}  # fmt: skip
# Digits of each score, as in publications.
FORMATS = {"psnr": ".2f", "ssim": ".3f", "lpips": ".3f", "chamfer": ".4f", "iou": ".4f",
           "minutes": ".3g"}  # fmt: skip
HEADER = ("", "source", "input views", "views", "objects", *TITLES.values(), "LPIPS network")
MEASURED, REPORTED_SOURCE = "measured", "reported"
NOTHING = "-"


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
      name: the scored pictures or study.
      source: MEASURED here, or REPORTED_SOURCE.
      origin: origin of the input views.
      views: number of input views, '' if unknown.
      objects: number of objects.
      means: score -> (mean, number of objects behind the mean), without unknown scores.
      network: network of LPIPS, '' if unknown.
    """

    name: str
    source: str
    origin: str
    views: str
    objects: int
    means: dict[str, tuple[float, int]]
    network: str = ""


def _reported(name: str, objects: int, views: str = "", network: str = "", **scores: float) -> Row:
    means = {score: (value, objects) for score, value in scores.items()}
    return Row(name, REPORTED_SOURCE, AS_GIVEN, views, objects, means, network)


# Source: Jun, Ko and Hong (2024), doi 10.33851/JMIS.2024.11.4.241, with the paper's own number of
# objects (we do not know views and network); Liu et al., SyncDreamer (arXiv:2309.03453), scored
# with its eval_nvs.py.
REPORTED = (
    _reported("Jun, Ko and Hong (2024)", 1030, psnr=20.32, ssim=0.798, lpips=0.153, minutes=7.0),
    _reported(
        "SyncDreamer, as run by Jun, Ko and Hong",
        1030,
        psnr=20.02,
        ssim=0.783,
        lpips=0.159,
        minutes=6.0,
    ),
    _reported(
        "SyncDreamer, its generated views", 30, "16", "VGG16", psnr=20.05, ssim=0.798, lpips=0.146
    ),
)


def table_rows(studies: Sequence[Study]) -> list[Row]:
    """Makes the rows: for each origin the input views, then the studies; at the end REPORTED.

    Args:
      studies: at least one study; all names differ.

    Raises:
      InputError: the studies have no finished object.
    """
    found = {one.origin for study in studies for one in study.objects}
    if not found:
        raise InputError("expected a study with an object that ended well, there is none")
    rows: list[Row] = []
    for origin in sorted(found, key=lambda name: (name != AS_GIVEN, name == THE_TRUTH, name)):
        chosen = {
            study.name: (study, objects)
            for study in studies
            if (objects := [one for one in study.objects if one.origin == origin])
        }
        rows += _input_rows(origin, chosen)
        for study, objects in chosen.values():
            means = {score: _mean([one.scores[score] for one in objects]) for score in MEANS}
            rows.append(_measured(study.name, origin, objects, means, study.network))
    return [*rows, *REPORTED]


def _input_rows(origin: str, chosen: dict[str, tuple[Study, list[Scored]]]) -> list[Row]:
    """Rows of the input views themselves; studies with equal scores share a row."""
    rows: dict[str, Row] = {}
    different: list[Row] = []
    for name, (study, objects) in chosen.items():
        means = {
            score: _mean([one.input_scores[score] for one in objects]) for score in PICTURE_SCORES
        }
        row = _measured("input views", origin, objects, means, study.network)
        if not row.means:  # no truth to score against
            continue
        rows[name] = row
        if row not in different:
            different.append(row)
    if len(different) < 2:
        return different
    return [replace(row, name=f"input views of {name}") for name, row in rows.items()]


def _measured(
    name: str,
    origin: str,
    objects: Sequence[Scored],
    means: dict[str, tuple[float, int] | None],
    network: str,
) -> Row:
    counts = sorted({one.views for one in objects})
    views = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    known = {score: mean for score, mean in means.items() if mean}
    return Row(name, MEASURED, origin, views, len(objects), known, network)


def _mean(values: Sequence[float | None]) -> tuple[float, int] | None:
    """Mean and count of the known values, None without any."""
    known = [value for value in values if value is not None]
    return (math.fsum(known) / len(known), len(known)) if known else None


def notes(studies: Sequence[Study]) -> Iterator[str]:
    """Remarks on objects that are missing in the means."""
    for study in studies:
        if study.failed:
            yield (
                f"{study.name}: {len(study.failed)} of {study.total} objects failed and are in no "
                f"mean: {', '.join(study.failed)}."
            )
        if left := study.total - len(study.objects) - len(study.failed):
            yield f"{study.name}: {left} of {study.total} objects have not ended."
    if len({frozenset(one.name for one in study.objects) for study in studies}) > 1:
        yield "The studies' means are over different objects, and do not compare."


def markdown(rows: Sequence[Row], remarks: Sequence[str] = ()) -> str:
    """Formats the table and its remarks as Markdown.

    A mean over fewer objects than its row has is followed by their number. An unknown score is a
    dash.
    """
    lines = [HEADER, ("---",) * len(HEADER), *(_cells(row) for row in rows)]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return table + "".join(f"\n{remark}\n" for remark in remarks)


def _cells(row: Row) -> tuple[str, ...]:
    name = row.name.replace("|", "\\|")
    facts = (name, row.source, row.origin, row.views or NOTHING, f"{row.objects:,}")
    return (*facts, *(_cell(row, score) for score in MEANS), _network(row) or NOTHING)


def _cell(row: Row, score: str) -> str:
    if score not in row.means:
        return NOTHING
    mean, count = row.means[score]
    return f"{mean:{FORMATS[score]}}" + (f" ({count})" if count != row.objects else "")


def _network(row: Row) -> str:
    return row.network if "lpips" in row.means else ""


def as_csv(rows: Sequence[Row]) -> str:
    """Formats the table as CSV: six digits per mean, its number of objects, '' for unknown."""
    text = io.StringIO()
    counted = [column for score in MEANS for column in (score, f"{score}_objects")]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "source", "origin", "views", "objects", *counted, "lpips_network"])
    for row in rows:
        values: list[str | int] = []
        for score in MEANS:
            mean = row.means.get(score)
            values += [f"{mean[0]:.6g}", mean[1]] if mean else ["", ""]
        facts = [row.name, row.source, row.origin, row.views, row.objects]
        writer.writerow([*facts, *values, _network(row)])
    return text.getvalue()


def main() -> None:
    """Runs the command.

    Raises:
      InputError: --studies is missing, or two studies have the same name.
    """
    folders = flags.DEFINE_list("studies", [], "Folders of studies, separated by commas.")
    objects = flags.DEFINE_string("objects", "", "Folder of the prepared objects, if it moved.")
    out = flags.DEFINE_string("out", "", "Folder for results.md and results.csv.")

    def command(_) -> None:
        if not folders.value:
            raise InputError("--studies: expected the folder of a study, got nothing")
        studies = [read_study(folder, objects.value) for folder in folders.value]
        names = [study.name for study in studies]
        if len(set(names)) < len(names):
            raise InputError(f"--studies: expected folders of different names, got {names}")
        rows = table_rows(studies)
        text = markdown(rows, list(notes(studies)))
        folder = open_workdir(out.value, "--out")
        write_text(folder / "results.md", text)
        write_text(folder / "results.csv", as_csv(rows))
        cli.say(text + f"\n{folder / 'results.md'}")

    cli.run(command)


if __name__ == "__main__":
    main()
