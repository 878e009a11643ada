"""Cases in processes of their own, some on each GPU."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from experiments.inconsistency_bench.cases import Case, Row, case_key, score_case
from experiments.inconsistency_bench.methods import METHODS, Settings
from experiments.inconsistency_bench.outside import outside_methods
from jaxvsnerf import cli
from jaxvsnerf.compilation import configure
from jaxvsnerf.data.load import find_path
from jaxvsnerf.metrics.lpips import load_lpips
from jaxvsnerf.study_processes import VISIBLE, visible_gpus

# Name -> the settings to try.
Plan = Mapping[str, Sequence[Settings]]


def _begin(places: Any) -> None:
    """Gives a process its GPU."""
    if gpu := places.get():
        os.environ[VISIBLE] = gpu
    configure(os.environ)


def _work(case: Case, plan: Plan, lpips: str, renders: str) -> list[Row]:
    """A case in a process of its own."""
    outside = outside_methods(renders)
    methods = {
        name: [
            (settings, outside[name] if name in outside else METHODS[name].make(settings))
            for settings in variants
        ]
        for name, variants in plan.items()
    }
    return score_case(case, methods, load_lpips(find_path(lpips)) if lpips else None)


def work_through(
    cases: Sequence[Case], plan: Plan, done: set, lpips: str, renders: str, parallel: int
) -> Iterator[list[Row]]:
    """The rows of each case as they come, without those that are done.

    Args:
      cases: to be scored.
      plan: the methods and their settings.
      done: keys of rows there are already.
      lpips: file of weights, '' for none.
      renders: folder of an outside program's pictures, '' for none.
      parallel: processes on each GPU, or on this machine where there is none.

    Raises:
      ValueError: what a case raises, after all others were tried.
    """
    context = multiprocessing.get_context("spawn")
    gpus = visible_gpus(os.environ) or [""]
    places, failed = context.Queue(), []
    for gpu in gpus * parallel:
        places.put(gpu)
    pool = ProcessPoolExecutor(len(gpus) * parallel, context, _begin, (places,))
    with pool:
        jobs = {}
        for case in cases:
            left = {
                name: [s for s in variants if case_key(case, name, s) not in done]
                for name, variants in plan.items()
            }
            if left := {name: variants for name, variants in left.items() if variants}:
                jobs[pool.submit(_work, case, left, lpips, renders)] = case
        try:
            for job in as_completed(jobs):
                if error := job.exception():
                    failed.append(f"{_name(jobs[job])}: {cli.error_text(error)}")
                    cli.say(failed[-1])
                else:
                    yield job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failed:
        raise ValueError(f"{len(failed)} of {len(jobs)} cases failed, the first: {failed[0]}")


def _name(case: Case) -> str:
    return f"{case.item.name}, {case.severity}, {case.views} views, seed {case.seed}"
