"""Finishes a trained run: scores, pictures, the mesh, the page."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jaxvsnerf.errors import error_text
from jaxvsnerf.metrics.scores import METRICS
from jaxvsnerf.pictures.images import side_by_side
from jaxvsnerf.rendering.program import on_this_device
from jaxvsnerf.run.asset import export_run, score_surface
from jaxvsnerf.run.events import EventFiles
from jaxvsnerf.run.page import report_run
from jaxvsnerf.run.pictures import Shown, look, render_run
from jaxvsnerf.run.references import References
from jaxvsnerf.run.saved import load_stages
from jaxvsnerf.run.scores import evaluate_run, read_metrics
from jaxvsnerf.run.usage import FOLLOWING
from jaxvsnerf.system.measure import timed
from jaxvsnerf.types import Dataset

EVENT_PICTURES = 3  # input views that TensorBoard shows


def finish_run(
    folder: Path,
    dataset: Dataset,
    references: References,
    seconds: dict[str, float],
    say: Callable[..., None],
    events: EventFiles | None,
) -> None:
    """Evaluates, renders, exports and reports a trained run, from its saved stages.

    Args:
      folder: folder of the run.
      dataset: pictures of the run.
      references: LPIPS and true geometry for the scores.
      seconds: phase -> seconds; receives the seconds of these phases.
      say: takes the lines to show.
      events: TensorBoard's files, or None.

    Raises:
      InputError: the field has no surface; the page is written nevertheless.
    """
    stages = load_stages(folder)
    field = list(stages.values())[-1]
    finishing: dict[str, float] = {}
    say("evaluating, rendering and exporting ...", passing=True)

    def export() -> None:
        with timed(finishing, "export"):
            mesh = export_run(folder, field, say=say)
            if references.surface is not None:
                cameras = (dataset.truth or dataset.inputs).cameras
                score_surface(folder, mesh, references.surface, cameras, say)

    # The host makes the mesh, which takes longer than the pictures; the device makes the pictures.
    with ThreadPoolExecutor(1) as pool:
        exported = pool.submit(on_this_device(export))
        with timed(finishing, "evaluate"):
            pictures = evaluate_run(folder, dataset, stages, say, references.perceptual)
        with timed(finishing, "render"):
            shown = look(dataset, field, list(pictures.values())[-1] if pictures else None)
            render_run(folder, dataset, field, shown)
        if events:
            _record(events, folder, dataset, shown)
    seconds.update({phase: finishing[phase] for phase in FOLLOWING})
    failure = exported.exception()
    with timed(seconds, "report"):  # a field without a surface still has a page
        no_mesh = error_text(failure) if failure else ""
        report_run(folder, dataset, stages, pictures, shown, finishing, no_mesh)
    if failure:
        raise failure


def _record(events: EventFiles, folder: Path, dataset: Dataset, shown: Shown) -> None:
    """Adds mean scores of every stage; and input, truth and rendering of the first views."""
    if dataset.truth is not None:
        metrics = read_metrics(folder)
        events.scores(
            {
                stage: {name: scores[name]["mean"] for name in METRICS if scores.get(name)}
                for stage, scores in metrics["stages"].items()
            }
        )
    given, clean = dataset.inputs, dataset.clean
    kinds = [given.images, *([] if clean is None else [clean]), shown.inputs.rgb]
    title = "input_rendering" if clean is None else "input_truth_rendering"
    rows = zip(given.names[:EVENT_PICTURES], *kinds, strict=False)
    events.pictures({f"{title}/{name}": side_by_side(row) for name, *row in rows})
