"""Many objects through the whole pipeline: one table, one page."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from ml_collections import ConfigDict

from jaxvsnerf.config.files import to_plain
from jaxvsnerf.errors import InputError, Interrupted
from jaxvsnerf.metrics.geometry import check_geometry_extra
from jaxvsnerf.run.workdir import keep_settings
from jaxvsnerf.study.cluster import connect, run_on_cluster
from jaxvsnerf.study.objects import StudyObject
from jaxvsnerf.study.page import write_study
from jaxvsnerf.study.processes import run_in_processes
from jaxvsnerf.study.results import Record, write_results_csv
from jaxvsnerf.study.run_object import read_record
from jaxvsnerf.system import cli

# (config, folder, stop, objects) -> their records as they come, None for one that was stopped.
Runner = Callable[
    [ConfigDict, Path, Callable[[], bool], Sequence[StudyObject]], Iterator[Record | None]
]


def study_run(
    config: ConfigDict,
    objects: Sequence[StudyObject],
    folder: Path,
    run: Runner,
    stop: Callable[[], bool],
) -> list[Record]:
    """Runs the objects that are not done, and keeps table and page up to date.

    Args:
      config: as `default_config` has it; each object overrides its data section.
      objects: of the study.
      folder: of the study, existing and locked.
      run: does the work.
      stop: whether to save and stop.

    Returns:
      The records of all objects, in their order.

    Raises:
      ValueError: the folder holds another study.
      Interrupted: at least one object was stopped.
    """
    settings = to_plain(config)
    keep_settings(
        folder / "study.json",
        {"config": settings, "objects": {one.name: asdict(one) for one in objects}},
        f"{folder} holds a study of another config or other objects (there -> now)",
        "take another --out, or the settings of that study to go on with it",
    )
    found = {one.name: read_record(folder / one.name) for one in objects}
    records = {name: record for name, record in found.items() if record}
    left = [one for one in objects if records.get(one.name, {}).get("status") != "ok"]

    def write() -> list[Record]:
        """Brings table and page up to date."""
        known = [records[one.name] for one in objects if one.name in records]
        if known:
            write_results_csv(folder / "results.csv", known)
            title = folder.resolve().name
            write_study(folder / "index.html", title, known, len(objects), settings)
        return known

    if len(left) < len(objects):
        cli.say(f"{len(objects) - len(left)} of {len(objects)} objects are done already")
    # A kill may have come between a record and the table.
    known = write()
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


def _outcome(record: Record) -> str:
    """One line about an object."""
    parts = [f"{record['total']:.1f} s"]
    if "psnr" in record.get("scores", {}):
        parts.append(f"PSNR {record['scores']['psnr']:.2f} dB")
    if record["status"] != "ok":
        parts.append(f"failed: {record['error']}")
    return f"{record['name']}: {', '.join(parts)}"


def choose_runner(cluster: str, parallel: int | None) -> Runner:
    if not cluster:
        return partial(run_in_processes, parallel)
    if parallel is not None:
        raise InputError(
            "--parallel: expected nothing with --cluster, where a GPU has one object at a time, "
            f"got {parallel}"
        )
    return partial(run_on_cluster, connect(cluster))


def scorable(objects: Sequence[StudyObject]) -> list[StudyObject]:
    """The objects, without their geometry where what it is scored with is missing."""
    try:
        check_geometry_extra()
    except ImportError as error:
        if any(one.mesh for one in objects):
            cli.say(f"meshes are not scored: {error}")
        return [replace(one, mesh="") for one in objects]
    return list(objects)
