"""The objects of a study in processes of their own, some on each GPU of this machine."""

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
from itertools import takewhile
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxvsnerf.config.files import from_plain, to_plain
from jaxvsnerf.run.logs import LOG
from jaxvsnerf.study.objects import StudyObject
from jaxvsnerf.study.results import Record
from jaxvsnerf.study.run_object import failure, keep_record, run_object
from jaxvsnerf.system import cli
from jaxvsnerf.system.compilation import configure

VISIBLE = "CUDA_VISIBLE_DEVICES"
FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"
TAKEN = 0.75  # of a GPU's memory by JAX, where nothing else is said
DRIVER = Path("/proc/driver/nvidia/gpus")
POLL_SECONDS = 0.5
READY = "ready"  # what a worker says first


def visible_gpus(environment: Mapping[str, str], driver: Path = DRIVER) -> list[str]:
    """The NVIDIA GPUs that this process may use, found without waking them.

    A process that has woken a GPU holds its memory, and no other could use it.
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
    """A worker process: objects come in, and their records go out."""
    asked = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process says when to stop
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
        raise RuntimeError(f"expected JAX to find GPU {gpu}, it found a CPU alone")
    answer: Any = READY
    while True:
        try:
            connection.send(answer)
            item = connection.recv()
        except (EOFError, OSError):  # no more is wanted
            return
        answer = run_object(config, Path(folder), asked.is_set, item, devices)


def _end_with(parent: Any) -> None:
    """Ends this process with the one that started it, as that one ended: at once."""
    parent.join()
    os._exit(1)


@dataclass
class _Worker:
    """A process, and what it is at: an object and when that was begun."""

    process: Any
    connection: Connection
    gpu: str
    item: StudyObject | None = None
    began: float = 0.0
    ready: bool = False


def run_in_processes(
    parallel: int | None,
    config: ConfigDict,
    folder: Path,
    stop: Callable[[], bool],
    items: Sequence[StudyObject],
) -> Iterator[Record | None]:
    """Runs objects in processes of this machine, each with one GPU.

    Choice: processes instead of threads. Python runs one thread at a time, so that threads
    wait for each other; and a process that is lost costs its object alone. Without NVIDIA
    GPUs a process has all devices that JAX finds, and an object is trained by all of them.

    Args:
      parallel: objects at a time on each GPU, each in its own process; None chooses.
      config: of the study.
      folder: of the study.
      stop: whether to save and stop.
      items: the objects.

    Yields:
      A record per object that was begun, None for one that was stopped. The object of a
      process that is lost has failed; another process takes its place.

    Raises:
      ChildProcessError: a process ended before it could begin.
    """
    gpus = visible_gpus(os.environ)
    # While one object's pictures and mesh are made on the host, another can train; on a
    # CPU both would want the same cores.
    parallel = parallel or (2 if gpus else 1)
    places = (gpus or [""]) * parallel
    context, settings = multiprocessing.get_context("spawn"), to_plain(config)
    waiting, asked = deque(items), False

    def start(gpu: str) -> _Worker:
        own, theirs = context.Pipe()
        arguments = gpu, TAKEN / parallel, settings, str(folder.resolve()), theirs
        process = context.Process(target=_work, args=arguments, daemon=True)
        process.start()
        theirs.close()  # so that its end is seen here
        return _Worker(process, own, gpu)

    where = f"each of {len(gpus)} GPU(s)" if gpus else "this machine"
    cli.say(
        f"{len(items)} objects, {parallel} at a time on {where}; what each has to say goes to "
        f"{folder / '<name>' / LOG}"
    )
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
                if alive and waiting:  # before the record is looked at: that takes time
                    worker.item, worker.began = waiting.popleft(), time.perf_counter()
                    with contextlib.suppress(OSError):  # lost: it will be heard
                        worker.connection.send(worker.item)
                else:
                    worker.connection.close()
                    workers.remove(worker)
                    if waiting:
                        workers.append(start(worker.gpu))
                if had:
                    yield record
    except KeyboardInterrupt:  # the second signal does not wait
        for worker in workers:
            worker.process.kill()
        raise
    finally:
        for worker in workers:
            worker.connection.close()
            worker.process.terminate()
        for worker in workers:
            worker.process.join()


def _heard(worker: _Worker, folder: Path, asked: bool) -> tuple[bool, Record | None]:
    """Whether a worker is there, and the record of its object: a failure's if it is lost."""
    try:
        answer = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join()
        status = f"ended with status {worker.process.exitcode}"
        if not worker.ready and not asked:
            raise ChildProcessError(
                f"a process of the study {status} before it began; what it said stands above. "
                f"{VISIBLE} names the GPUs to use, --parallel=1 has one process on each"
            ) from None
        if worker.item is None:
            return False, None
        (folder / worker.item.name).mkdir(exist_ok=True)
        error = failure(RuntimeError(f"its process {status}"))
        return False, keep_record(folder, worker.item, error, time.perf_counter() - worker.began)
    worker.ready, worker.item = True, None
    return True, None if answer == READY else answer
