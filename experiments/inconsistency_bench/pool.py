"""Rows made in processes of their own, some on each GPU."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
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


def _work(case: Case, name: str, settings: Settings, lpips: str, renders: str) -> Row:
    """One row, in a process of its own."""
    perceptual = load_lpips(find_path(lpips)) if lpips else None
    if name == INPUTS:
        return score_inputs(case, perceptual)
    method = outside_methods(renders).get(name) or METHODS[name].make(settings)
    return score_method(case, name, settings, method, perceptual)


def work_through(
    cases: Sequence[Case], plan: Plan, done: set, lpips: str, renders: str, parallel: int
) -> Iterator[Row]:
    """The rows of all cases, methods and settings as they come, without those that are done.

    Args:
      cases: to be scored.
      plan: the methods and their settings.
      done: keys of rows there are already.
      lpips: file of weights, '' for none.
      renders: folder of an outside program's pictures, '' for none.
      parallel: processes on each GPU, or on this machine where there is none.

    Raises:
      ValueError: what a row raises, after all others were tried.
    """
    context = multiprocessing.get_context("spawn")
    gpus = visible_gpus(os.environ) or [""]
    places, failed = context.Queue(), []
    for gpu in gpus * parallel:
        places.put(gpu)
    with ProcessPoolExecutor(len(gpus) * parallel, context, _begin, (places,)) as pool:
        jobs = {
            pool.submit(_work, case, name, settings, lpips, renders): (case, name)
            for case in cases
            for name, variants in {INPUTS: [{}], **plan}.items()
            for settings in variants
            if case_key(case, name, settings) not in done
        }
        try:
            for job in as_completed(jobs):
                if error := job.exception():
                    case, name = jobs[job]
                    failed.append(f"{name} of {case_name(case)}: {cli.error_text(error)}")
                    cli.say(failed[-1])
                else:
                    yield job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failed:
        raise ValueError(f"{len(failed)} of {len(jobs)} rows failed, the first: {failed[0]}")
