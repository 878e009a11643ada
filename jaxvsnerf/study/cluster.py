"""Runs the objects of a study on a Ray cluster."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxvsnerf.config.files import from_plain, to_plain
from jaxvsnerf.errors import StorageError
from jaxvsnerf.study.objects import StudyObject
from jaxvsnerf.study.results import Record
from jaxvsnerf.study.run_object import failure, keep_record, run_object
from jaxvsnerf.system import cli
from jaxvsnerf.system.compilation import configure
from jaxvsnerf.system.extras import require

PIP_LINE = "pip install 'jaxvsnerf[cluster]'"
# Retries of an object whose worker was lost.
MAX_RETRIES = 3
POLL_SECONDS = 1.0


class Worker:
    """Process of the cluster with one GPU, or one CPU; keeps its compiled programs.

    Choice: an actor, not a task per object: in a reused process, Ray may assign a task another
    GPU than the one that JAX already holds.
    """

    def __init__(self, settings: dict[str, Any], folder: str):
        self.config = from_plain(settings)
        self.folder = Path(folder)
        self.stopping = threading.Event()
        configure(os.environ)

    def run(self, item: StudyObject) -> Record | None:
        """Runs one object, see `run_object`."""
        stop, devices = self.stopping.is_set, jax.local_devices()
        return run_object(self.config, self.folder, stop, item, devices)

    def stop(self) -> None:
        """Asks `run` to save and stop."""
        self.stopping.set()


def connect(address: str):
    """Joins a Ray cluster.

    Args:
      address: address of the cluster, or `auto`: a running cluster, else a new one on this
        machine.

    Returns:
      The connected module ray.

    Raises:
      MissingExtra: Ray is not installed; the message holds the pip line.
      StorageError: no cluster answers at the address.
    """
    ray = require("ray", "--cluster", PIP_LINE)
    try:
        ray.init(
            address=None if address == "auto" else address,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    except ConnectionError as error:
        raise StorageError(f"--cluster: no Ray cluster at {address} ({error})") from error
    return ray


def run_on_cluster(
    ray,
    config: ConfigDict,
    folder: Path,
    stop: Callable[[], bool],
    items: Sequence[StudyObject],
) -> Iterator[Record | None]:
    """Runs objects on a cluster, one at a time per GPU, or per CPU on a cluster without GPUs.

    Args:
      ray: connected module, see `connect`.
      config: config of the study.
      folder: folder of the study, shared by all machines.
      stop: returns whether all workers are to save and stop.
      items: objects to run.

    Yields:
      A record per object that was started, None for a stopped object. An object whose worker was
      lost is retried MAX_RETRIES times, then counts as failed.
    """
    resources = ray.cluster_resources()
    kind = "GPU" if resources.get("GPU", 0) >= 1 else "CPU"
    count = min(int(resources[kind]), len(items))
    cli.say(f"{len(items)} objects on {count} {kind}(s) of a Ray cluster")
    actor = ray.remote(
        max_restarts=-1,
        max_task_retries=MAX_RETRIES,
        max_concurrency=2,  # `stop` is served while `run` works
        **{f"num_{kind.lower()}s": 1},
    )(Worker)
    workers = [actor.remote(to_plain(config), str(folder.resolve())) for _ in range(count)]
    waiting, free, busy, asked = deque(items), list(workers), {}, False
    while busy or (waiting and not asked):
        while waiting and free and not asked:
            worker, item = free.pop(), waiting.popleft()
            busy[worker.run.remote(item)] = (worker, item, time.perf_counter())
        for answer in ray.wait(list(busy), timeout=POLL_SECONDS)[0]:
            worker, item, started = busy.pop(answer)
            free.append(worker)
            try:
                yield ray.get(answer)
            except ray.exceptions.RayError as error:
                (folder / item.name).mkdir(exist_ok=True)
                yield keep_record(folder, item, failure(error), time.perf_counter() - started)
        if stop() and not asked:
            asked = True
            for worker in workers:
                worker.stop.remote()
