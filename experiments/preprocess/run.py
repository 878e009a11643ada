"""Measures the effect of preprocessing on the pictures and on the reconstructed object.

    python -m experiments.preprocess.run --objects=FOLDER,... --out=DIR [--seconds=500] \
        [--cases=...] [--options=...] [--seeds=0,1,2] [--method=ours-hash] [--inputs_only]

Applies every option to identical pictures of every case of every object. Writes DIR/results.csv
after every row, and prints the table at the end. The most informative cases run first. After the
time of --seconds no further case begins. The same command continues after an interruption.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from experiments.inconsistency_bench.methods import METHODS, Method
from experiments.preprocess.cases import CASES, Faulty, make_case
from experiments.preprocess.table import COLUMNS, KEY, table
from experiments.results_file import Row, read_rows, write_rows
from jaxvsnerf.errors import InputError, error_text
from jaxvsnerf.metrics.scores import score_views
from jaxvsnerf.preprocess.prepare import Record, prepare_views
from jaxvsnerf.preprocess.spec import PreprocessSpec
from jaxvsnerf.study.objects import StudyObject, find_objects
from jaxvsnerf.system import cli
from jaxvsnerf.system.compilation import configure
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.paths import find_path, user_path
from jaxvsnerf.types import ViewSet

OPTIONS = {
    "none": PreprocessSpec(False, False, False),
    "denoise": PreprocessSpec(True, False, False),
    "harmonize": PreprocessSpec(False, True, False),
    "outliers": PreprocessSpec(False, False, True),
    "all": PreprocessSpec(True, True, True),
}


class Job(NamedTuple):
    """A case of an object, and the options to apply.

    Attributes:
      item: the object.
      donor: another object; its views may be the outliers.
      case: see `make_case`.
      seed: seed of the case and of training.
      options: names of `OPTIONS`.
    """

    item: StudyObject
    donor: StudyObject
    case: str
    seed: int
    options: tuple[str, ...]


class Prepared(NamedTuple):
    """The pictures of a job.

    Attributes:
      faulty: the pictures before preprocessing.
      views: option -> preprocessed pictures.
      records: option -> record of the changes.
    """

    faulty: Faulty
    views: dict[str, ViewSet]
    records: dict[str, Record]


def plan(
    items: Sequence[StudyObject],
    cases: Sequence[str],
    options: Sequence[str],
    seeds: Sequence[int],
    done: set[tuple[str, ...]],
) -> list[Job]:
    """Lists the remaining jobs: all cases of the first seed in the given order, then the next seed.

    Args:
      items: the objects.
      cases: names of cases, in order.
      options: names of options.
      seeds: the seeds, in order.
      done: keys of finished rows: object, case, seed, option.
    """
    jobs = []
    for seed in seeds:
        for case in cases:
            for index, item in enumerate(items):
                key = item.name, case, str(seed)
                left = [option for option in options if (*key, option) not in done]
                if left:
                    # Other options are compared with `none`, and often have the same pictures.
                    chosen = tuple(dict.fromkeys(["none", *left]))
                    donor = items[(index + 3) % len(items)]
                    jobs.append(Job(item, donor, case, seed, chosen))
    return jobs


def prepare(job: Job, downscale: int) -> Prepared:
    """Makes the pictures of a job and applies every option."""
    faulty = make_case(job.item, job.donor, job.case, job.seed, downscale)
    both = {name: prepare_views(faulty.views, OPTIONS[name]) for name in job.options}
    views = {name: one for name, (one, _) in both.items()}
    return Prepared(faulty, views, {name: record for name, (_, record) in both.items()})


def prepared_ahead(
    jobs: Sequence[Job], downscale: int, ahead: int
) -> Iterator[tuple[Job, Prepared]]:
    """Yields each job with its pictures, and prepares the next jobs in threads.

    Args:
      jobs: the jobs, in order.
      downscale: integer factor that shrinks the pictures.
      ahead: number of jobs prepared in advance.
    """
    with ThreadPoolExecutor(ahead) as pool:
        left = iter(jobs)
        waiting: list[tuple[Job, Future]] = []
        try:
            while True:
                for job in islice(left, ahead - len(waiting)):
                    waiting.append((job, pool.submit(prepare, job, downscale)))
                if not waiting:
                    return
                job, future = waiting.pop(0)
                yield job, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def work(job: Job, prepared: Prepared, method: Method | None) -> list[Row]:
    """Trains and scores a job; options with identical pictures share one training.

    Args:
      job: the job.
      prepared: its pictures.
      method: the method to train; None scores the pictures alone.

    Returns:
      A row per option.
    """
    rows: list[Row] = []
    first: tuple[ViewSet, dict[str, Any]] | None = None
    for option in job.options:
        views = prepared.views[option]
        if first and _same(views, first[0]):
            scores = first[1]
        else:
            scores = _scores(views, prepared.faulty, job.seed, method)
        first = first or (views, scores)
        found = _found(prepared.records[option], len(views.images))
        scores = {
            **scores,
            "planted": _indices(prepared.faulty.planted),
            "found": _indices(found),
            "changed": int(not _same(views, first[0])),
        }
        key = job.item.name, job.case, str(job.seed), option
        rows.append({**dict(zip(KEY, key, strict=True)), **{k: str(v) for k, v in scores.items()}})
    return rows


def _scores(views: ViewSet, faulty: Faulty, seed: int, method: Method | None) -> dict[str, Any]:
    started, truth = time.perf_counter(), faulty.truth
    # Planted outliers are not scored: they have no truth.
    right = np.nonzero(~faulty.planted)[0]
    names = tuple(truth.names[view] for view in right)
    inputs = score_views(views.images[right], truth.images[right], names)
    scores = {f"inputs_{name}": f"{inputs[name]['mean']:.5f}" for name in ("psnr", "ssim")}
    trained = dict.fromkeys(("psnr", "ssim"), "")
    if method is not None:
        pictures = np.clip(np.asarray(method(views, seed)(truth.cameras)), 0.0, 1.0)
        fused = score_views(pictures.astype(np.float32), truth.images, truth.names)
        trained = {name: f"{fused[name]['mean']:.5f}" for name in trained}
    return {**scores, **trained, "seconds": f"{time.perf_counter() - started:.2f}"}


def _same(one: ViewSet, other: ViewSet) -> bool:
    """Whether two sets are equal to the last bit."""
    if one.weights is not other.weights and (
        one.weights is None
        or other.weights is None
        or not np.array_equal(one.weights, other.weights)
    ):
        return False
    return one.images is other.images or np.array_equal(one.images, other.images)


def _found(record: Record, count: int) -> np.ndarray:
    """The views that were left out, [V] bool."""
    weights = record.get("outliers", {}).get("weights", [1.0] * count)
    return np.asarray(weights) == 0


def _indices(chosen: np.ndarray) -> str:
    return " ".join(map(str, np.nonzero(chosen)[0]))


def _chosen(flag: str, given: Sequence[str], allowed: Sequence[str]) -> list[str]:
    if unknown := [name for name in given if name not in allowed]:
        raise InputError(f"{flag}: expected some of {', '.join(allowed)}, got {', '.join(unknown)}")
    return list(given or allowed)


def main() -> None:
    """Runs the command.

    Raises:
      InputError: a flag is missing or has an unknown value.
    """
    out = flags.DEFINE_string("out", "", "Folder of the results.")
    folders = flags.DEFINE_list("objects", [], "Folders of objects with truth.")
    names = flags.DEFINE_list("names", [], "Which of the objects; all if none is named.")
    cases = flags.DEFINE_list("cases", [], f"Some of {', '.join(CASES)}; all if none is named.")
    options = flags.DEFINE_list("options", [], f"Some of {', '.join(OPTIONS)}; all by default.")
    seeds = flags.DEFINE_list("seeds", ["0"], "Of faults and of training.")
    method = flags.DEFINE_enum("method", "ours", ["ours", "ours-hash"], "The bench's method.")
    length = flags.DEFINE_float("length", 1.0, "Multiplies the steps of all stages.")
    downscale = flags.DEFINE_integer("downscale", 1, "Pictures shrink by this.", lower_bound=1)
    seconds = flags.DEFINE_float("seconds", 0.0, "No case begins after these; 0 is no limit.")
    inputs_only = flags.DEFINE_bool("inputs_only", False, "Score pictures, and train nothing.")
    ahead = flags.DEFINE_integer("ahead", 6, "Cases that are made while others train.")

    def command(_) -> None:
        started = time.perf_counter()
        if not out.value or not folders.value:
            raise InputError("expected --objects=FOLDER,... and --out=DIR")
        configure(os.environ)
        items = find_objects([find_path(name) for name in folders.value])[0]
        wanted = _chosen("--names", names.value, [item.name for item in items])
        items = [item for item in items if item.name in wanted]
        folder = user_path(out.value)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "results.csv"
        rows = {tuple(row[name] for name in KEY): row for row in read_rows(path, COLUMNS)}
        jobs = plan(
            items,
            _chosen("--cases", cases.value, CASES),
            _chosen("--options", options.value, tuple(OPTIONS)),
            [int(seed) for seed in seeds.value],
            set(rows),
        )
        train = None if inputs_only.value else METHODS[method.value].make({"length": length.value})
        for job, prepared in prepared_ahead(jobs, downscale.value, ahead.value):
            try:
                made = work(job, prepared, train)
            except InputError as error:  # continue with the other jobs
                cli.say(f"{job.item.name}, {job.case}, seed {job.seed}: {error_text(error)}")
                continue
            for row in made:
                rows[tuple(row[name] for name in KEY)] = row
                cli.say(" ".join(f"{name}={value}" for name, value in row.items()))
            write_rows(path, rows.values(), COLUMNS, KEY)
            if seconds.value and time.perf_counter() - started > seconds.value:
                cli.say(f"stopped after {seconds.value:.0f} s; the same command goes on")
                break
        text = table(list(rows.values()))
        write_text(folder / "table.md", text + "\n")
        print(text)

    cli.run(command)


if __name__ == "__main__":
    main()
