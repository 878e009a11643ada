"""Takes many objects through the whole pipeline: one table, one page.

    python -m jaxvsnerf.study --config=configs/syncdreamer.py --objects=FOLDER --out=DIR \
        [--config.field=value]

Writes DIR/results.csv, DIR/index.html and a run in DIR/<name>/ per object. An object that
fails is recorded and the others go on. The same command goes on where an interrupted study
stopped, and tries the failed ones again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from jaxvsnerf import assemble, cli
from jaxvsnerf.cluster import connect, run_on_cluster
from jaxvsnerf.config import to_plain
from jaxvsnerf.data.load import find_path
from jaxvsnerf.data.objects import StudyObject, find_objects
from jaxvsnerf.extras import check_extras
from jaxvsnerf.metrics.geometry import check_geometry_extra
from jaxvsnerf.outputs.results import Record, summary_text, write_results_csv
from jaxvsnerf.outputs.study import write_study
from jaxvsnerf.study_object import read_record
from jaxvsnerf.study_processes import run_in_processes
from jaxvsnerf.train import stop_signal
from jaxvsnerf.training.loop import Interrupted
from jaxvsnerf.workdir import keep_settings, locked, open_workdir

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


def _runner(cluster: str, parallel: int | None) -> Runner:
    if not cluster:
        return partial(run_in_processes, parallel)
    if parallel is not None:
        raise ValueError(
            "--parallel: expected nothing with --cluster, where a GPU has one object at a time, "
            f"got {parallel}"
        )
    return partial(run_on_cluster, connect(cluster))


def _scorable(objects: Sequence[StudyObject]) -> list[StudyObject]:
    """The objects, without their geometry where what it is scored with is missing."""
    try:
        check_geometry_extra()
    except ImportError as error:
        if any(one.mesh for one in objects):
            cli.say(f"meshes are not scored: {error}")
        return [replace(one, mesh="") for one in objects]
    return list(objects)


def main() -> None:
    """The command."""
    config = cli.define_config()
    objects = flags.DEFINE_list("objects", [], "Folders of objects, separated by commas.")
    out = flags.DEFINE_string("out", "", "Folder of the study.")
    parallel = flags.DEFINE_integer(
        "parallel", None, "Objects at a time on each GPU (2) or on this machine (1).", 1
    )
    cluster = flags.DEFINE_string(
        "cluster", "", "Address of a Ray cluster, or auto; '' is this machine alone."
    )

    def command(_) -> int:
        shared = assemble.with_data(cli.config_value(config), {"path": "", "truth": "", "mesh": ""})
        if not objects.value:
            raise ValueError("--objects: expected a folder of objects, got nothing")
        found, others = find_objects([find_path(path) for path in objects.value])
        check_extras()
        found = _scorable(found)
        assemble.check_outputs(shared)
        folder = open_workdir(out.value, "--out")
        if others:
            cli.say(f"no object in: {', '.join(map(str, others))}")
        with locked(folder, "--out"):
            # Before the signals are taken, since Ray takes them too.
            run = _runner(cluster.value, parallel.value)
            with stop_signal() as stop:
                records = study_run(shared, found, folder, run, stop)
        cli.say(f"{summary_text(records)}\n{folder / 'index.html'}")
        return int(any(record["status"] != "ok" for record in records))

    cli.run(command)


if __name__ == "__main__":
    main()
