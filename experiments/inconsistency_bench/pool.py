"""Computes rows in separate processes, several on each GPU."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import zip_longest
from typing import Any

from experiments.inconsistency_bench.cases import (
    INPUTS,
    Case,
    Row,
    case_key,
    case_name,
    score_inputs,
    score_method,
)
from experiments.inconsistency_bench.methods import Settings
from experiments.inconsistency_bench.outside import outside_methods
from experiments.inconsistency_bench.variants import KNOWN
from jaxvsnerf.errors import OtherProcessFailed, error_text
from jaxvsnerf.metrics.lpips import load_lpips
from jaxvsnerf.study.processes import VISIBLE, visible_gpus
from jaxvsnerf.system import cli
from jaxvsnerf.system.compilation import configure
from jaxvsnerf.system.paths import find_path

# Name of a method -> settings to try.
Plan = Mapping[str, Sequence[Settings]]
# Number of rows of one method that a process computes in a row, so that it traces the method once.
TOGETHER = 5


def _begin(places: Any) -> None:
    """Assigns a GPU to a process."""
    if gpu := places.get():
        os.environ[VISIBLE] = gpu
    configure(os.environ)


def _work(
    cases: Sequence[Case], name: str, settings: Settings, lpips: str, renders: str, shape: bool
) -> tuple[list[Row], list[str]]:
    """Computes rows of one method in a separate process; returns rows, and errors by case."""
    perceptual = load_lpips(find_path(lpips)) if lpips else None
    rows, failed = [], []
    for case in cases:
        try:
            if name == INPUTS:
                rows.append(score_inputs(case, perceptual))
                continue
            method = outside_methods(renders).get(name) or KNOWN[name].make(settings)
            rows.append(score_method(case, name, settings, method, perceptual, shape))
        except Exception as error:  # continue with the other cases
            failed.append(f"{name} of {case_name(case)}: {error_text(error)}")
    return rows, failed


def work_through(
    cases: Sequence[Case],
    plan: Plan,
    done: set,
    lpips: str,
    renders: str,
    parallel: int,
    shape: bool = False,
) -> Iterator[list[Row]]:
    """Yields the rows of all cases, methods and settings, a few at a time; skips finished rows.

    Args:
      cases: the cases to score.
      plan: the methods and their settings.
      done: keys of the finished rows.
      lpips: file of LPIPS weights, '' for none.
      renders: folder of an external program's pictures, '' for none.
      parallel: processes on each GPU, or on the machine if it has no GPU.
      shape: whether to score surfaces too.

    Raises:
      OtherProcessFailed: a row failed; raised after all other rows were tried.
    """
    context = multiprocessing.get_context("spawn")
    gpus = visible_gpus(os.environ) or [""]
    places, failed = context.Queue(), []
    for gpu in gpus * parallel:
        places.put(gpu)
    with ProcessPoolExecutor(len(gpus) * parallel, context, _begin, (places,)) as pool:
        queues = [
            [(some, name, settings) for some in _parts(cases, name, settings, done)]
            for name, variants in {INPUTS: [{}], **plan}.items()
            for settings in variants
        ]
        # Methods take turns, so that processes that begin together compile different programs.
        turns = [one for turn in zip_longest(*queues) for one in turn if one is not None]
        jobs = [pool.submit(_work, *one, lpips, renders, shape) for one in turns]
        try:
            for job in as_completed(jobs):
                rows, errors = job.result()
                failed += errors
                for text in errors:
                    cli.say(text)
                yield rows
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failed:
        raise OtherProcessFailed(f"{len(failed)} rows failed, the first: {failed[0]}")


def _parts(
    cases: Sequence[Case], name: str, settings: Settings, done: set
) -> Iterator[Sequence[Case]]:
    """Splits the unfinished cases into parts for one process each."""
    left = [case for case in cases if case_key(case, name, settings) not in done]
    for start in range(0, len(left), TOGETHER):
        yield left[start : start + TOGETHER]
