"""Writes the page of a run from the files of the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from jaxvsnerf import __version__
from jaxvsnerf.config.files import to_plain
from jaxvsnerf.errors import DamagedFile
from jaxvsnerf.fields.neus import NORMAL
from jaxvsnerf.geometry.cameras import match_cameras
from jaxvsnerf.metrics.scores import Scores
from jaxvsnerf.page.charts import Chart, Series
from jaxvsnerf.page.preparation import preparation_section
from jaxvsnerf.page.report import Column, Comparison, Report, Section, write_report
from jaxvsnerf.pictures.images import (
    depth_picture,
    depth_range,
    difference_picture,
    normal_picture,
)
from jaxvsnerf.preprocess.prepare import load_record, record_facts, trained_views
from jaxvsnerf.rendering.images import Picture
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.run.check import kept_remarks
from jaxvsnerf.run.logs import MetricsLog
from jaxvsnerf.run.pictures import Shown, shown_photo
from jaxvsnerf.run.scores import METRICS_FILE, metrics_mend, read_geometry, read_metrics
from jaxvsnerf.run.usage import Usage, load_usage, usage_facts
from jaxvsnerf.run.workdir import load_settings
from jaxvsnerf.types import Dataset, ViewSet

FILES = {
    "mesh.glb": "the object as a mesh with a texture",
    "eval/mesh.json": "what the mesh is like: faces, closed or not, size",
    "renders/turntable.mp4": "a full turn around it",
    "eval/metrics.json": "scores of every stage, per view",
    "eval/geometry.json": "Chamfer distance, volume IoU and normals of the mesh",
    "metrics.jsonl": "loss and PSNR while training",
    "log.txt": "what the run had to say, with the time",
    "preprocess.json": "what was done to each input view before training",
    "remarks.json": "how the pictures were read, and warnings about them",
    "usage.json": "time to the first step, memory, seconds by phase",
    "config.json": "every setting as asked",
    "resolved.json": "every setting as trained: paths, types and rays that were left open",
}
REPORT = "report.html"


def report_run(
    folder: Path,
    dataset: Dataset,
    stages: dict[str, TrainedField],
    pictures: dict[str, Picture],
    shown: Shown,
    timing: Mapping[str, float],
    no_mesh: str = "",
) -> None:
    """Writes report.html.

    Args:
      folder: folder of the run.
      dataset: pictures of the run.
      stages: stage name -> field.
      pictures: stage name -> pictures at the truth's cameras; empty renders the input views here.
      shown: renderings of the final field.
      timing: phase -> seconds, for phases that are not in metrics.jsonl.
      no_mesh: the message of a failed export, or ''.
    """
    config, record = load_settings(folder), load_record(folder, len(dataset.inputs.names))
    scored = dataset.truth is not None
    views = dataset.truth if scored else dataset.inputs
    pictures = pictures or {name: field.render(views.cameras) for name, field in stages.items()}
    log = MetricsLog(folder, tuple(stages)).read()
    metrics = _metrics(folder, views.names, stages) if scored else None
    video, mesh = folder / "renders" / "turntable.mp4", folder / "mesh.glb"
    last = list(pictures)[-1]
    report = Report(
        title=" / ".join(Path(config.data.path).parts[-2:]) or config.data.kind,
        facts={
            **_facts(dataset, log, metrics, load_usage(folder)),
            **record_facts(record, dataset.inputs.names),
            **_geometry(folder),
        },
        inputs=list(dataset.inputs.images),
        input_names=list(dataset.inputs.names),
        comparisons=[
            Comparison(
                "Views side by side",
                views.names,
                _columns(dataset, views, pictures, metrics),
                pair=(last, "truth") if scored else ("input", last),
            ),
            _disagreement(dataset.inputs, shown),
            *_photo(dataset, shown),
        ],
        charts=_charts(log, stages),
        metrics=metrics,
        settings=to_plain(config),
        timing={**_stage_seconds(log), **timing},
        video=video if video.is_file() else None,
        model=mesh if mesh.is_file() and not no_mesh else None,
        sections=[
            *_failure(no_mesh),
            *_remarks(kept_remarks(folder)),
            *preparation_section(record, dataset.inputs.names),
        ],
        files={name: text for name, text in FILES.items() if (folder / name).is_file()},
    )
    write_report(folder / REPORT, report)


def _metrics(folder: Path, views: Sequence[str], stages: Iterable[str]) -> Scores | None:
    """The scores of a run, which must be those of some stages at some views."""
    metrics = read_metrics(folder)
    for name in stages if metrics else ():
        found = metrics["stages"].get(name, {"views": []})["views"]
        if found != list(views):
            fault = f"expected the scores of {name} at {', '.join(views)}, got {found}"
            raise DamagedFile(folder / METRICS_FILE, fault, metrics_mend(folder))
    return metrics


def _failure(no_mesh: str) -> list[Section]:
    return [Section("No mesh", f"<p>{escape(no_mesh)}</p>")] if no_mesh else []


def _remarks(lines: Sequence[str]) -> list[Section]:
    """How the pictures were read, and the warnings about them."""
    body = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return [Section("About the input views", body)] if lines else []


def _stage_seconds(log: list[dict]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for row in log:
        seconds[row["stage"]] = seconds.get(row["stage"], 0.0) + row["seconds"]
    return seconds


def _facts(
    dataset: Dataset, log: list[dict], metrics: dict | None, usage: Usage | None
) -> dict[str, str]:
    height, width = dataset.inputs.images.shape[1:3]
    facts = {
        "input views": f"{len(dataset.inputs.images)} of {width} x {height}",
        "training": f"{sum(_stage_seconds(log).values()):.0f} s",
        **(usage_facts(usage) if usage else {}),
        "jaxvsnerf": __version__,
    }
    if metrics:
        facts = {"PSNR against truth": f"{metrics['psnr']['mean']:.2f} dB", **facts}
    return facts


def _geometry(folder: Path) -> dict[str, str]:
    """Scores of the mesh against the true geometry."""
    scores = read_geometry(folder)
    if scores is None:
        return {}
    facts = {"Chamfer distance": f"{scores['chamfer']:.4f}", "volume IoU": f"{scores['iou']:.3f}"}
    if "normal_deg" in scores:  # runs up to 0.2.0 lack the score
        facts["normals"] = f"{scores['normal_deg']:.1f} degrees off at the median"
    return facts


def _columns(
    dataset: Dataset, shown: ViewSet, pictures: dict[str, Picture], metrics: dict | None
) -> list[Column]:
    """Pictures of a view: the input if it is one, each stage, truth, depth, normals if known."""
    where = match_cameras(shown.cameras, dataset.inputs.cameras)
    inputs = [None if index is None else dataset.inputs.images[index] for index in where]
    columns = [Column("input", inputs)] if set(where) != {None} else []
    changed = trained_views(dataset).images
    if columns and changed is not dataset.inputs.images:
        trained = [None if index is None else changed[index] for index in where]
        columns.append(Column("as trained on", trained))
    for name, picture in pictures.items():
        captions = ()
        if metrics:
            captions = [f"{v:.2f} dB" for v in metrics["stages"][name]["psnr"]["per_view"]]
        columns.append(Column(name, list(picture.rgb), captions))
    if shown is dataset.truth:
        columns.append(Column("truth", list(shown.images)))
    final = list(pictures.values())[-1]
    near_far = depth_range(final.distance, final.acc)
    depth = [
        depth_picture(distance, acc, *near_far)
        for distance, acc in zip(final.distance, final.acc, strict=True)
    ]
    columns.append(Column("depth", depth))
    if NORMAL in final.extras:
        pairs = zip(final.extras[NORMAL], final.acc, strict=True)
        columns.append(Column("normals", [normal_picture(*pair) for pair in pairs]))
    return columns


def _disagreement(inputs: ViewSet, shown: Shown) -> Comparison:
    """Differences between each input view and the consensus of all views."""
    maps = shown.disagreement
    covers = np.ones_like(maps) if inputs.masks is None else np.maximum(inputs.masks, 1e-6)
    means = [f"{np.average(a, weights=c):.3f}" for a, c in zip(maps, covers, strict=True)]
    columns = [
        Column("input", list(inputs.images)),
        Column("consensus", list(shown.inputs.rgb)),
        Column("disagreement", list(map(difference_picture, maps, covers)), means),
    ]
    note = (
        "How far each picture is from what all views agree on: violet is nothing, "
        "yellow a quarter of the range of colours and more; the number is the mean over the object."
    )
    return Comparison("Where views disagree", inputs.names, columns, note)


def _photo(dataset: Dataset, shown: Shown) -> list[Comparison]:
    """The photo beside its rendering, if the photo is one more view."""
    if shown.photo is None:
        return []
    final, photo = shown.photo, shown_photo(dataset)
    depth = depth_picture(final.distance[0], final.acc[0])
    columns = [
        Column("photo", list(photo.images)),
        Column("rendering", list(final.rgb)),
        Column("depth", [depth]),
    ]
    fit = dataset.photo
    note = (
        "The photo was one more view. Its outline overlaps with what the generated views show "
        f"from there by {fit.overlap:.2f} (intersection over union)."
    )
    if fit.best_overlap > fit.overlap:
        note += (
            f" An elevation of {fit.best_deg:g} degrees would fit better: {fit.best_overlap:.2f}."
        )
    return [Comparison("The photo", photo.names, columns, note)]


def _charts(log: list[dict], stages: dict[str, TrainedField]) -> list[Chart]:
    """Loss and PSNR over the steps of all stages, one curve per stage."""
    loss, psnr, spans, start = [], [], [], 0
    for name in stages:
        rows = [row for row in log if row["stage"] == name]
        x = [start + row["step"] for row in rows]
        loss.append(Series(name, x, [row["loss"] for row in rows]))
        psnr.append(Series(name, x, [row["psnr"] for row in rows]))
        end = x[-1] if x else start
        spans.append((name, start, end))
        start = end
    return [
        Chart("training loss", loss, log=True, spans=spans),
        Chart("PSNR on training rays (dB)", psnr, spans=spans),
    ]
