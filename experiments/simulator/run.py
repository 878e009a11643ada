"""Compares simulated inconsistency with that of a real generator.

    python -m experiments.simulator.run --out=DIR [--seeds=8]

Reads the pair `syncdreamer/chicken` (a SyncDreamer strip and its truth), further strips in
`syncdreamer/strips` and objects with truth in `gso`, below the folder that JAXVSNERF_DATA names.
Writes calibration.csv, components.csv, severities.csv, calibration.svg, severities.svg,
alike.webp and index.html.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from absl import flags

from experiments.simulator.measure import measure
from experiments.simulator.page import Picked, write_page, write_sheet
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import camera_centers
from jaxvsnerf.metrics.lpips import Lpips, load_lpips
from jaxvsnerf.metrics.psnr import psnr
from jaxvsnerf.page.charts import Chart, Series, chart_document
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.simulate.inconsistency import simulate
from jaxvsnerf.simulate.noise import view_angles_deg
from jaxvsnerf.simulate.severity import SEVERITIES, Severity
from jaxvsnerf.system import cli
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.paths import find_path, user_path
from jaxvsnerf.types import Dataset, ViewSet

PAIR = DataSpec(kind="strip", path="syncdreamer/chicken/strip.png", truth="syncdreamer/chicken/gt")
STRIPS, OBJECTS, LPIPS = "syncdreamer/strips", "gso", "lpips/alex_v0.1.npz"
# Statistics of the plot -> (title, factor).
SHOWN = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "lpips": "LPIPS (AlexNet)",
    "flow": "median optical flow, pixels",
    "residual": "deviation without flow and colour",
    "sharpness": "fine contrast over that of the truth",
}
COMPONENTS = [field.name for field in fields(Severity) if field.name != "shared"]
Table = list[dict[str, str | float | int]]
# Views of every strip on the page.
VIEWS = (0, 2, 4, 6, 8, 10, 13)


def calibrate(pair: Dataset, seeds: int, perceptual: Lpips | None) -> Table:
    """Compares a real strip with simulated strips.

    Args:
      pair: the real strip and its truth.
      seeds: number of simulated strips.
      perceptual: network and weights of LPIPS, or None.

    Returns:
      A row per view: its angle; and for every statistic the real value, and mean and deviation of
      the simulated values over the seeds.
    """
    real = measure(pair.inputs, pair.truth, perceptual)
    runs = []
    for seed in range(seeds):
        views = simulate(pair.truth, SEVERITIES["medium"], seed).views
        runs.append(measure(views, pair.truth, perceptual))
        cli.say(f"seed {seed}: {runs[-1]['psnr'].mean():.2f} dB, real {real['psnr'].mean():.2f}")
    angles = view_angles_deg(camera_centers(pair.truth.cameras))[0]
    rows: Table = []
    for view, angle in enumerate(angles):
        row: dict = {"view": view, "angle_deg": round(float(angle), 1)}
        for name, values in real.items():
            found = [run[name][view] for run in runs]
            row[name] = round(float(values[view]), 4)
            row[f"{name}_mean"] = round(float(np.mean(found)), 4)
            row[f"{name}_sd"] = round(float(np.std(found)), 4)
        rows.append(row)
    return rows


def describe(views: ViewSet, truth: ViewSet) -> dict[str, float]:
    """PSNR over all views, of the input view, and of the three views behind."""
    scores = [float(psnr(a, b)) for a, b in zip(views.images, truth.images, strict=True)]
    half = len(scores) // 2
    found = dict(psnr=np.mean(scores), input=scores[0], behind=np.mean(scores[half - 1 : half + 2]))
    return {name: round(float(value), 2) for name, value in found.items()}


def components(truth: ViewSet) -> Table:
    """Makes a row for every kind of damage alone, as strong as in `medium`."""
    medium = SEVERITIES["medium"]
    kinds = {name: Severity(**{name: getattr(medium, name)}) for name in COMPONENTS}
    return [
        {"component": name, "value": getattr(medium, name)}
        | describe(simulate(truth, kind, 0).views, truth)
        for name, kind in kinds.items()
    ]


def severities(truths: Mapping[str, ViewSet], seeds: int) -> Table:
    """Makes a row for every severity of every object."""
    return [
        {"object": name, "severity": severity, "seed": seed}
        | describe(simulate(truth, SEVERITIES[severity], seed).views, truth)
        for name, truth in truths.items()
        for severity in ("mild", "medium", "severe")
        for seed in range(seeds)
    ]


def calibration_charts(rows: Table) -> list[Chart]:
    """Draws real against simulated values, by view."""
    views = [row["view"] for row in rows]
    charts = []
    for name, title in SHOWN.items():
        if name in rows[0]:
            mean, spread = (
                np.array([row[f"{name}_{end}"] for row in rows]) for end in ("mean", "sd")
            )
            lines = [Series("real", views, [row[name] for row in rows])]
            lines += [Series("simulated", views, mean)]
            lines += [Series("- 2 sd", views, mean - 2 * spread)]
            lines += [Series("+ 2 sd", views, mean + 2 * spread)]
            charts.append(Chart(title, lines, "view, 22.5 degrees apart; 0 is the input view"))
    return charts


def table_text(rows: Table) -> str:
    """Formats rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def find_truths(folder: Path) -> dict[str, ViewSet]:
    """Returns name -> true views of the objects in a folder."""
    names = sorted(path.name for path in folder.iterdir() if (path / "gt").is_dir())
    return {name: _truth(folder / name / "gt") for name in names}


def _truth(folder: Path) -> ViewSet:
    return load_dataset(DataSpec(kind="folder", path=str(folder), truth=str(folder))).truth


def pick_pictures(pair: Dataset, truths: Mapping[str, ViewSet], strips: Path) -> list[Picked]:
    """Makes the pictures of the page.

    Args:
      pair: the real strip and its truth.
      truths: name -> true views of other objects.
      strips: folder of real strips.
    """
    medium = simulate(pair.truth, SEVERITIES["medium"], 0)
    index = list(VIEWS)

    def row(label: str, images: np.ndarray) -> tuple[str, np.ndarray]:
        return label, np.asarray(images)[index]

    def damaged(kind: Severity, truth: ViewSet = pair.truth) -> np.ndarray:
        return simulate(truth, kind, 0).views.images

    moved = np.linalg.norm(medium.flow, axis=-1)[..., None].repeat(3, -1) / 8.0
    error = medium.error[..., None].repeat(3, -1) * 3.0
    other = SEVERITIES["medium"]
    chicken = [
        row("truth", pair.truth.images),
        row("real", pair.inputs.images),
        row("simulated, medium", medium.views.images),
        row("its error, x 3", error.clip(0, 1)),
        row("its displacement, white is 8 px", moved.clip(0, 1)),
    ]
    levels = [row(name, damaged(SEVERITIES[name])) for name in ("mild", "medium", "severe")]
    # Three times as strong, to be visible.
    alone = [
        row(name, damaged(Severity(**{name: 3.0 * getattr(other, name)}))) for name in COMPONENTS
    ]
    real = [row(f"real: {path.stem}", _strip(path).images) for path in sorted(strips.glob("*.png"))]
    simulated = [
        row(f"simulated: {name}", damaged(other, truth)) for name, truth in list(truths.items())[:6]
    ]
    return [
        Picked("The chicken", chicken),
        Picked("Real strips of other objects", real),
        Picked("Simulated strips of other objects", simulated),
        Picked("Severities", levels),
        Picked("Each kind of damage alone, three times as strong as in medium", alone),
    ]


def _strip(path: Path) -> ViewSet:
    return load_dataset(DataSpec(kind="strip", path=str(path))).inputs


def severity_chart(rows: Table) -> list[Chart]:
    """Draws the PSNR of every object, by severity."""
    names = list(dict.fromkeys(row["object"] for row in rows))
    kinds = ("mild", "medium", "severe")
    lines = []
    for kind in kinds:
        found = [
            np.mean([r["psnr"] for r in rows if r["object"] == name and r["severity"] == kind])
            for name in names
        ]
        lines.append(Series(kind, list(range(len(names))), sorted(found)))
    return [Chart("PSNR of damaged views, dB", lines, "objects, each line sorted")]


def main() -> None:
    """Runs the command.

    Raises:
      InputError: --out is missing.
    """
    out = flags.DEFINE_string("out", "", "Folder of the results.")
    seeds = flags.DEFINE_integer("seeds", 8, "Simulations of the pair.", lower_bound=2)

    def command(_: Sequence[str]) -> None:
        if not out.value:
            raise InputError("expected --out=DIR")
        folder, pair = user_path(out.value), load_dataset(PAIR)
        truths, strips = find_truths(find_path(OBJECTS)), find_path(STRIPS)
        tables = {
            "calibration": calibrate(pair, seeds.value, load_lpips(find_path(LPIPS))),
            "components": components(pair.truth),
            "severities": severities({"chicken": pair.truth, **truths}, 2),
        }
        for name, rows in tables.items():
            write_text(folder / f"{name}.csv", table_text(rows))
        charts = {
            "calibration": chart_document(calibration_charts(tables["calibration"])),
            "severities": chart_document(severity_chart(tables["severities"]), 1),
        }
        for name, chart in charts.items():
            write_text(folder / f"{name}.svg", chart)
        picked = pick_pictures(pair, truths, strips)
        write_page(folder / "index.html", charts, tables, picked)
        write_sheet(folder / "alike.webp", [*picked[0].rows[1:3], *picked[1].rows, *picked[2].rows])
        cli.say(f"{folder / 'index.html'}")

    cli.run(command)


if __name__ == "__main__":
    main()
