"""Runs the objects of a study in processes of this machine, several per GPU."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxvsnerf.config.files import from_plain, to_plain
from jaxvsnerf.errors import OtherProcessFailed, Terminated
from jaxvsnerf.run.logs import LOG
from jaxvsnerf.study.objects import StudyObject
from jaxvsnerf.study.results import Record
from jaxvsnerf.study.run_object import failure, keep_record, run_object
from jaxvsnerf.system import cli
from jaxvsnerf.system.compilation import configure

VISIBLE = "CUDA_VISIBLE_DEVICES"
FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"
TAKEN = 0.75  # JAX's default share of a GPU's memory
DRIVER = Path("/proc/driver/nvidia/gpus")
POLL_SECONDS = 0.5
READY = "ready"  # first message of a worker


def visible_gpus(environment: Mapping[str, str], driver: Path = DRIVER) -> list[str]:
    """Names of the NVIDIA GPUs that this process may use, found without initialising JAX.

    Initialising JAX would reserve the GPUs' memory in this process, which the workers need.

    Args:
      environment: environment variables.
      driver: folder in which the driver lists its GPUs.
    """
    platforms = environment.get("JAX_PLATFORMS", "")
    if platforms and not {"cuda", "gpu"} & set(platforms.split(",")):
        return []
    if VISIBLE in environment:
        names = (name.strip() for name in environment[VISIBLE].split(","))
        return list(takewhile(lambda name: name not in ("", "-1"), names))  # as CUDA reads it
    return [str(index) for index, _ in enumerate(sorted(driver.glob("*")))]


def _work(
    gpu: str, memory: float, settings: dict[str, Any], folder: str, connection: Connection
) -> None:
    """Main function of a worker process: receives objects, sends their records."""
    asked = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    threading.Thread(
        target=_end_with, args=(multiprocessing.parent_process(),), daemon=True
    ).start()
    if gpu:
        os.environ[VISIBLE] = gpu
        os.environ.setdefault(FRACTION, f"{memory:.3f}")
    configure(os.environ)
    devices, config = jax.local_devices(), from_plain(settings)
    if gpu and devices[0].platform == "cpu":
        raise RuntimeError(f"expected JAX to find GPU {gpu}, but JAX found only a CPU")
    answer: Any = READY
    while True:
        try:
            connection.send(answer)
            item = connection.recv()
        except (EOFError, OSError):  # the parent closed the connection
            return
        answer = run_object(config, Path(folder), asked.is_set, item, devices)


def _end_with(parent: Any) -> None:
    """Ends this process immediately when its parent process ends."""
    parent.join()
    os._exit(1)


@dataclass
class _Worker:
    """A worker process with its current object and the object's start time."""

    process: Any
    connection: Connection
    gpu: str
    item: StudyObject | None = None
    began: float = 0.0
    ready: bool = False


def _start(memory: float, settings: dict[str, Any], folder: str, gpu: str) -> _Worker:
    """Starts a worker process on a GPU; '' is every device that JAX finds."""
    context = multiprocessing.get_context("spawn")
    own, theirs = context.Pipe()
    arguments = gpu, memory, settings, folder, theirs
    process = context.Process(target=_work, args=arguments, daemon=True)
    process.start()
    theirs.close()  # so that the worker's end closes the pipe
    return _Worker(process, own, gpu)


def run_in_processes(
    parallel: int | None,
    config: ConfigDict,
    folder: Path,
    stop: Callable[[], bool],
    items: Sequence[StudyObject],
) -> Iterator[Record | None]:
    """Runs objects in processes of this machine, each with one GPU.

    Choice: processes instead of threads. Python runs one thread at a time, so that threads
    wait for each other; and a lost process costs only its own object. Without NVIDIA GPUs, each
    process has all devices that JAX finds and trains an object on all of them.

    Args:
      parallel: objects at a time on each GPU, each in its own process; None chooses 2 with GPUs
        and 1 without.
      config: config of the study.
      folder: folder of the study.
      stop: returns whether to save and stop.
      items: objects to run.

    Yields:
      A record per object that was started, None for a stopped object. The object of a lost
      process counts as failed; a new process replaces the lost one.

    Raises:
      OtherProcessFailed: a process ended before it was ready.
    """
    gpus = visible_gpus(os.environ)
    # While the host computes one object's pictures and mesh, another object can train on the GPU;
    # on a CPU both would compete for the same cores.
    parallel = parallel or (2 if gpus else 1)
    places = (gpus or [""]) * parallel
    start = partial(_start, TAKEN / parallel, to_plain(config), str(folder.resolve()))
    waiting, asked = deque(items), False
    where = f"each of {len(gpus)} GPU(s)" if gpus else "this machine"
    log = folder / "<name>" / LOG
    cli.say(f"{len(items)} objects, {parallel} at a time on {where}; each object's log: {log}")
    workers = [start(gpu) for gpu in places[: len(items)]]
    try:
        while workers:
            if stop() and not asked:
                asked = True
                waiting.clear()
                for worker in workers:
                    worker.process.terminate()
            spoken = wait([worker.connection for worker in workers], timeout=POLL_SECONDS)
            for worker in [worker for worker in workers if worker.connection in spoken]:
                had, alive, record = worker.item, *_heard(worker, folder, asked)
                if alive and waiting:  # before the record is yielded, whose use takes time
                    worker.item, worker.began = waiting.popleft(), time.perf_counter()
                    with contextlib.suppress(OSError):  # lost worker: the next wait reports it
                        worker.connection.send(worker.item)
                else:
                    worker.connection.close()
                    workers.remove(worker)
                    if waiting:
                        workers.append(start(worker.gpu))
                if had:
                    yield record
    except (KeyboardInterrupt, Terminated):  # a second signal stops at once
        for worker in workers:
            worker.process.kill()
        raise
    finally:
        _end(workers)


def _end(workers: Sequence[_Worker]) -> None:
    """Ends the processes of workers and waits for their end."""
    for worker in workers:
        worker.connection.close()
        worker.process.terminate()
    for worker in workers:
        worker.process.join()


def _heard(worker: _Worker, folder: Path, asked: bool) -> tuple[bool, Record | None]:
    """Receives a worker's message: whether the worker is alive, and its object's record.

    A lost worker gives its object a failure record.
    """
    try:
        answer = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join()
        status = f"ended with status {worker.process.exitcode}"
        if not worker.ready and not asked:
            raise OtherProcessFailed(
                f"a process of the study {status} before it was ready; its messages are above. "
                f"{VISIBLE} names the GPUs to use, --parallel=1 starts one process per GPU"
            ) from None
        if worker.item is None:
            return False, None
        (folder / worker.item.name).mkdir(exist_ok=True)
        error = failure(OtherProcessFailed(f"its process {status}"))
        return False, keep_record(folder, worker.item, error, time.perf_counter() - worker.began)
    worker.ready, worker.item = True, None
    return True, None if answer == READY else answer
