"""Makes a part of a trained run again: its scores, pictures, asset or page."""

from __future__ import annotations

from typing import Any

from jaxvsnerf.run import assemble
from jaxvsnerf.run.asset import export_run, score_surface
from jaxvsnerf.run.dataset import load_pictures, read_pictures
from jaxvsnerf.run.page import report_run
from jaxvsnerf.run.pictures import look, render_run
from jaxvsnerf.run.saved import load_stages
from jaxvsnerf.run.scores import evaluate_run
from jaxvsnerf.run.usage import FOLLOWING, load_usage
from jaxvsnerf.run.workdir import load_settings, locked, open_run
from jaxvsnerf.system.extras import check_extras


def evaluate_folder(workdir: str) -> None:
    """Scores every stage of a run against the truth, see `evaluate_run`.

    Raises:
      InputError: there is no trained run, another process holds it, or its pictures changed.
    """
    folder = open_run(workdir)
    with locked(folder):
        config = load_settings(folder)
        dataset, _ = load_pictures(config)
        perceptual = assemble.load_perceptual(config, dataset)
        evaluate_run(folder, dataset, load_stages(folder), perceptual=perceptual)


def render_folder(workdir: str, mode: str = "") -> None:
    """Renders the final field of a run, see `render_run`.

    Args:
      workdir: the folder of the run.
      mode: how views are combined, see `load_stages`.

    Raises:
      InputError: see `evaluate_folder`, or no such mode.
    """
    folder = open_run(workdir)
    with locked(folder):
        dataset, _ = load_pictures(load_settings(folder))
        (field,) = load_stages(folder, last_only=True, mode=mode).values()
        render_run(folder, dataset, field, look(dataset, field))


def export_folder(workdir: str, **options: Any) -> None:
    """Exports the final field of a run and scores the mesh if the true geometry is known.

    Args:
      workdir: the folder of the run.
      **options: see `export_run`.

    Raises:
      InputError: see `evaluate_folder` and `export_run`.
      MissingExtra: a package that writes meshes is absent.
    """
    check_extras()
    folder = open_run(workdir)
    with locked(folder):
        config = load_settings(folder)
        dataset = truth = None
        if config.data.mesh:
            dataset = read_pictures(config)
            truth = assemble.load_true_surface(config, dataset)
        (field,) = load_stages(folder, last_only=True).values()
        mesh = export_run(folder, field, **options)
        if truth is not None:
            score_surface(folder, mesh, truth, dataset)


def report_folder(workdir: str) -> None:
    """Writes the page of a run, see `report_run`.

    Raises:
      InputError: see `evaluate_folder`.
      MissingExtra: a package that writes the page is absent.
    """
    check_extras()
    folder = open_run(workdir)
    with locked(folder):
        dataset, _ = load_pictures(load_settings(folder))
        stages = load_stages(folder)
        shown = look(dataset, list(stages.values())[-1])
        usage = load_usage(folder)
        seconds = usage.seconds if usage else {}
        timing = {name: seconds[name] for name in FOLLOWING if name in seconds}
        report_run(folder, dataset, stages, {}, shown, timing)
