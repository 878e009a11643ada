"""Makes a part of a trained run again: its scores, pictures, asset or page.

`paths` names the places at which a run's files lie now, see `found_settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ml_collections import ConfigDict

from jaxvsnerf.errors import InputError, describe
from jaxvsnerf.geometry.cameras import take
from jaxvsnerf.run import assemble
from jaxvsnerf.run.asset import export_run, score_surface
from jaxvsnerf.run.bound import found_settings, load_bound
from jaxvsnerf.run.page import report_run
from jaxvsnerf.run.pictures import look, look_alone, render_alone, render_run
from jaxvsnerf.run.saved import load_stages
from jaxvsnerf.run.scene_file import load_scene
from jaxvsnerf.run.scores import evaluate_run
from jaxvsnerf.run.usage import FOLLOWING, load_usage
from jaxvsnerf.run.workdir import locked, open_run
from jaxvsnerf.system import cli
from jaxvsnerf.system.extras import check_extras
from jaxvsnerf.types import Cameras, Dataset

Paths = Mapping[str, str]
SAME_PATHS: Paths = MappingProxyType({})


def evaluate_folder(workdir: str, paths: Paths = SAME_PATHS) -> None:
    """Scores every stage of a run against the truth, see `evaluate_run`.

    Raises:
      InputError: there is no trained run, another process holds it, or its pictures changed.
    """
    folder = open_run(workdir)
    with locked(folder):
        config = found_settings(folder, paths)
        dataset = _pictures(folder, config)
        perceptual = assemble.load_perceptual(config, dataset)
        evaluate_run(folder, dataset, load_stages(folder), perceptual=perceptual)


def render_folder(workdir: str, mode: str = "", paths: Paths = SAME_PATHS) -> None:
    """Renders the final field of a run, see `render_run`; without its pictures if they changed.

    Args:
      workdir: the folder of the run.
      mode: how views are combined, see `load_stages`.
      paths: see above.

    Raises:
      InputError: see `evaluate_folder`, or no such mode.
    """
    folder = open_run(workdir)
    with locked(folder):
        (field,) = load_stages(folder, last_only=True, mode=mode).values()
        try:
            dataset = _pictures(folder, found_settings(folder, paths))
        except InputError as error:
            cli.complain(f"warning: no pictures beside the renderings: {describe(error)}")
            render_alone(folder, load_scene(folder).names, field, look_alone(field))
        else:
            render_run(folder, dataset, field, look(dataset, field))


def export_folder(workdir: str, paths: Paths = SAME_PATHS, **options: Any) -> None:
    """Exports the final field of a run and scores the mesh if the true geometry is known.

    The run's pictures are not needed.

    Args:
      workdir: the folder of the run.
      paths: see above.
      **options: see `export_run`.

    Raises:
      InputError: there is no trained run, another process holds it, or see `export_run`.
      MissingExtra: a package that writes meshes is absent.
    """
    check_extras()
    folder = open_run(workdir)
    with locked(folder):
        config, scene = found_settings(folder, paths), load_scene(folder)
        truth = assemble.load_true_surface(config, scene.to_cube)
        cameras = _scored_cameras(folder, config) if truth is not None else None
        (field,) = load_stages(folder, last_only=True).values()
        mesh = export_run(folder, field, **options)
        if truth is not None:
            score_surface(folder, mesh, truth, cameras)


def report_folder(workdir: str, paths: Paths = SAME_PATHS) -> None:
    """Writes the page of a run, see `report_run`.

    Raises:
      InputError: see `evaluate_folder`.
      MissingExtra: a package that writes the page is absent.
    """
    check_extras()
    folder = open_run(workdir)
    with locked(folder):
        dataset = _pictures(folder, found_settings(folder, paths))
        stages = load_stages(folder)
        shown = look(dataset, list(stages.values())[-1])
        usage = load_usage(folder)
        seconds = usage.seconds if usage else {}
        timing = {name: seconds[name] for name in FOLLOWING if name in seconds}
        report_run(folder, dataset, stages, {}, shown, timing)


def _pictures(folder: Path, config: ConfigDict) -> Dataset:
    """The pictures of a run; shows what is not known about them."""
    dataset, doubt = load_bound(folder, config)
    if doubt:
        cli.complain(doubt)
    return dataset


def _scored_cameras(folder: Path, config: ConfigDict) -> Cameras:
    """Cameras whose visible surfaces are scored: the truth's, or else the input views'."""
    scene = load_scene(folder)
    if scene.truth is not None:
        return scene.truth
    if scene.prints is None and config.data.truth:  # an older version kept no truth cameras
        dataset = _pictures(folder, config)
        return (dataset.truth or dataset.inputs).cameras
    return take(scene.cameras, range(len(scene.names)))
