"""Runs the whole pipeline on many objects and keeps one table and one page."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from ml_collections import ConfigDict

from jaxvsnerf.config import resolve
from jaxvsnerf.config.files import to_plain
from jaxvsnerf.errors import DamagedFile, InputError, Interrupted, MissingExtra
from jaxvsnerf.metrics.geometry import check_geometry_extra
from jaxvsnerf.run.bound import check_finished
from jaxvsnerf.run.door import check_run
from jaxvsnerf.run.scene_file import has_scene
from jaxvsnerf.run.workdir import keep_settings, locked, open_workdir
from jaxvsnerf.study.cluster import connect, run_on_cluster
from jaxvsnerf.study.objects import StudyObject, find_objects
from jaxvsnerf.study.page import write_study
from jaxvsnerf.study.processes import run_in_processes
from jaxvsnerf.study.results import Record, summary_text, write_results_csv
from jaxvsnerf.study.run_object import read_record
from jaxvsnerf.system import cli
from jaxvsnerf.system.extras import check_extras
from jaxvsnerf.system.paths import find_path
from jaxvsnerf.system.signals import stop_signal

# (config, folder, stop, objects) -> records as they arrive, None for a stopped object.
Runner = Callable[
    [ConfigDict, Path, Callable[[], bool], Sequence[StudyObject]], Iterator[Record | None]
]


def study_folders(
    config: ConfigDict, objects: Sequence[str], out: str, *, parallel: int | None, cluster: str
) -> int:
    """Studies the objects of some folders, see `study_run`.

    Args:
      config: settings of every object; the data section's paths are ignored.
      objects: folders of objects.
      out: the folder of the study.
      parallel: see `choose_runner`.
      cluster: see `choose_runner`.

    Returns:
      The exit status: 1 if an object failed.

    Raises:
      InputError: no object, a wrong setting, or the folder of the study cannot be used.
      MissingExtra: a package that writes the asset or the page is missing.
      Interrupted: see `study_run`.
    """
    if not objects:
        raise InputError("--objects: expected a folder of objects, got nothing")
    shared = resolve.with_data(config, {"path": "", "truth": "", "mesh": ""})
    found, others = find_objects([find_path(path) for path in objects])
    check_extras()
    found = scorable(found)
    check_run(resolve.with_data(shared, found[0].data))
    folder = open_workdir(out, "--out")
    if others:
        cli.say(f"no object in: {', '.join(map(str, others))}")
    with locked(folder, "--out"):
        # Before our signal handlers are installed: Ray installs handlers too.
        run = choose_runner(cluster, parallel)
        with stop_signal() as stop:
            records = study_run(shared, found, folder, run, stop)
    cli.say(f"{summary_text(records)}\n{folder / 'index.html'}")
    return int(any(record["status"] != "ok" for record in records))


def study_run(
    config: ConfigDict,
    objects: Sequence[StudyObject],
    folder: Path,
    run: Runner,
    stop: Callable[[], bool],
) -> list[Record]:
    """Runs the objects that are not done, and keeps table and page up to date.

    Args:
      config: config with the fields of `default_config`; each object overrides its data section.
      objects: all objects of the study.
      folder: folder of the study, existing and locked.
      run: runner of the objects, see `choose_runner`.
      stop: returns whether to save and stop.

    Returns:
      The records of all objects, in the order of `objects`.

    Raises:
      InputError: the folder holds another study, or an object that is done has other pictures.
      Interrupted: at least one object was stopped.
    """
    settings = to_plain(config)
    keep_settings(
        folder / "study.json",
        {"config": settings, "objects": {one.name: asdict(one) for one in objects}},
        f"{folder} holds a study of another config or other objects (there -> now)",
        "take another --out, or the settings of that study to go on with it",
    )
    records = _known_records(folder, objects)
    left = [one for one in objects if not _is_done(folder / one.name, records.get(one.name))]
    for one in objects:
        if one not in left:
            _check_done(folder / one.name, resolve.with_data(config, one.data))

    def write() -> list[Record]:
        """Writes table and page; returns the known records."""
        known = [records[one.name] for one in objects if one.name in records]
        if known:
            write_results_csv(folder / "results.csv", known)
            title = folder.resolve().name
            write_study(folder / "index.html", title, known, len(objects), settings)
        return known

    if len(left) < len(objects):
        cli.say(f"{len(objects) - len(left)} of {len(objects)} objects are done already")
    known = write()  # the study may have been killed between a record and the table
    if not left:
        return known
    started, ended = time.perf_counter(), 0
    with contextlib.closing(run(config, folder, stop, left)) as results:
        for record in filter(None, results):
            ended += 1
            records[record["name"]] = record
            cli.say(f"[{ended}/{len(left)}] {_outcome(record)}")
            write()
    if ended < len(left):
        raise Interrupted(f"stopped with {len(left) - ended} of {len(objects)} objects to go")
    seconds = time.perf_counter() - started
    cli.say(f"{len(left)} objects in {seconds:.1f} s, {seconds / len(left):.1f} s each")
    return write()


def _known_records(folder: Path, objects: Sequence[StudyObject]) -> dict[str, Record]:
    """The records of the objects whose run has ended; shows the damaged ones, which are left out.

    Choice: such an object counts as not done. Its run goes on where it stands, which trains a
    finished run no further, and makes the record of the run's files again.
    """
    records = {}
    for one in objects:
        try:
            record = read_record(folder / one.name)
        except DamagedFile as error:
            cli.complain(f"warning: {error}")
        else:
            records.update({one.name: record} if record else {})
    return records


def _is_done(home: Path, record: Record | None) -> bool:
    """Whether nothing of an object is left to do: its record is good and its scene is there."""
    return record is not None and record["status"] == "ok" and has_scene(home)


def _check_done(home: Path, config: ConfigDict) -> None:
    """Refuses other pictures of a done object; shows where they cannot be compared."""
    try:
        check_finished(home, config)
    except DamagedFile as error:
        # The record holds all that the study needs.
        cli.complain(
            f"warning: {error}. The record of {home.name} stands; its pictures were not compared"
        )


def _outcome(record: Record) -> str:
    """One line of text about a finished object."""
    parts = [f"{record['total']:.1f} s"]
    if "psnr" in record.get("scores", {}):
        parts.append(f"PSNR {record['scores']['psnr']:.2f} dB")
    if record["status"] != "ok":
        parts.append(f"failed: {record['error']}")
    return f"{record['name']}: {', '.join(parts)}"


def choose_runner(cluster: str, parallel: int | None) -> Runner:
    """Chooses where objects run: on a Ray cluster, or in processes of this machine.

    Args:
      cluster: address of the cluster, 'auto', or '' for this machine.
      parallel: objects at a time on each GPU, or None for the default; only without `cluster`.

    Raises:
      InputError: both are given.
      MissingExtra: Ray is missing.
      StorageError: no cluster answers at the address.
    """
    if not cluster:
        return partial(run_in_processes, parallel)
    if parallel is not None:
        raise InputError(
            "--parallel: expected no value with --cluster, where each GPU runs one object at a "
            f"time, got {parallel}"
        )
    return partial(run_on_cluster, connect(cluster))


def scorable(objects: Sequence[StudyObject]) -> list[StudyObject]:
    """Drops the objects' true geometry if the packages that score it are missing."""
    try:
        check_geometry_extra()
    except MissingExtra as error:
        if any(one.mesh for one in objects):
            cli.say(f"meshes are not scored: {error}")
        return [replace(one, mesh="") for one in objects]
    return list(objects)
