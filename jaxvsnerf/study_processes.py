"""The objects of a study in processes of their own, one for each GPU of this machine."""

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
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxvsnerf import cli
from jaxvsnerf.compilation import configure
from jaxvsnerf.config import from_plain, to_plain
from jaxvsnerf.data.objects import StudyObject
from jaxvsnerf.outputs.results import Record
from jaxvsnerf.study_object import failure, keep_record, run_object
from jaxvsnerf.workers import work_off

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
        return [name.strip() for name in environment[VISIBLE].split(",") if name.strip()]
    return [str(index) for index, _ in enumerate(sorted(driver.glob("*")))]


def _work(
    gpu: str,
    memory: float,
    settings: dict[str, Any],
    folder: str,
    connections: Sequence[Connection],
) -> None:
    """A worker process: on each connection objects come in, and their records go out."""
    asked = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process says when to stop
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    if gpu:
        os.environ[VISIBLE] = gpu
        os.environ.setdefault(FRACTION, f"{memory:.3f}")
    configure(os.environ)
    devices = jax.local_devices()[:1]
    if gpu and devices[0].platform == "cpu":
        raise RuntimeError(f"expected JAX to find GPU {gpu}, it found a CPU alone")
    config, parent = from_plain(settings), multiprocessing.parent_process()

    def stop() -> bool:
        return asked.is_set() or not parent.is_alive()

    def serve(connection: Connection, device: jax.Device) -> None:
        connection.send(READY)
        while (item := connection.recv()) is not None:
            connection.send(run_object(config, Path(folder), stop, item, device))

    with contextlib.suppress(EOFError, OSError):  # the first process is gone
        for _ in work_off(connections, serve, devices, len(connections), asked.set):
            pass


@dataclass
class _Worker:
    """A process and what its connections are at: an object and when it was begun."""

    process: Any
    gpu: str
    at: dict[Connection, tuple[StudyObject | None, float]]
    ready: bool = False


def run_in_processes(
    gpus: Sequence[str],
    parallel: int,
    config: ConfigDict,
    folder: Path,
    stop: Callable[[], bool],
    items: Sequence[StudyObject],
) -> Iterator[Record | None]:
    """Runs objects in a process for each of `gpus`.

    Python runs one thread at a time: threads that keep several GPUs busy wait for each other.

    Args:
      gpus: which each process sees; '' leaves it what this one sees.
      parallel: objects at a time in each.
      config: of the study.
      folder: of the study.
      stop: whether to save and stop.
      items: the objects.

    Yields:
      A record per object that was begun, None for one that was stopped. The objects of a
      process that is lost have failed; another takes its place.

    Raises:
      ChildProcessError: a process ended before it could begin.
    """
    context = multiprocessing.get_context("spawn")
    settings, waiting, asked = to_plain(config), deque(items), False

    def start(gpu: str) -> _Worker:
        own, theirs = zip(*(context.Pipe() for _ in range(parallel)), strict=True)
        memory = TAKEN / list(gpus).count(gpu)  # several on one share it
        arguments = gpu, memory, settings, str(folder.resolve()), theirs
        process = context.Process(target=_work, args=arguments, daemon=True)
        process.start()
        for connection in theirs:  # so that its end is seen here
            connection.close()
        return _Worker(process, gpu, {connection: (None, 0.0) for connection in own})

    cli.say(f"{len(items)} objects in {len(gpus)} processes, {parallel} at a time in each")
    workers = [start(gpu) for gpu in gpus]
    try:
        while any(worker.at for worker in workers):
            if stop() and not asked:
                asked = True
                waiting.clear()
                for worker in workers:
                    worker.process.terminate()
            for worker, connection in _spoken(workers):
                record = _heard(worker, connection, folder, asked)
                if record != READY:
                    yield record
                if connection in worker.at:
                    item = waiting.popleft() if waiting else None
                    worker.at[connection] = item, time.perf_counter()
                    with contextlib.suppress(OSError):  # lost: it will be heard
                        connection.send(item)
                    if item is None:
                        del worker.at[connection]
                elif not worker.at and waiting:  # it was lost
                    workers.append(start(worker.gpu))
    finally:
        for worker in workers:
            for connection in worker.at:  # a worker that waits for an object ends
                connection.close()
            worker.process.terminate()
        for worker in workers:
            worker.process.join()


def _spoken(workers: Sequence[_Worker]) -> Iterator[tuple[_Worker, Connection]]:
    """The connections that have something to say, or have ended."""
    owners = {connection: worker for worker in workers for connection in worker.at}
    for connection in wait(list(owners), timeout=POLL_SECONDS):
        yield owners[connection], connection


def _heard(worker: _Worker, connection: Connection, folder: Path, asked: bool) -> Record | None:
    """What a worker says; the record of a failure, and the connection dropped, if it is lost."""
    try:
        answer = connection.recv()
    except (EOFError, OSError):
        item, began = worker.at.pop(connection)
        worker.process.join()
        status = f"ended with status {worker.process.exitcode}"
        if not worker.ready and not asked:
            raise ChildProcessError(
                f"a process of the study {status} before it began; what it said stands above; "
                "--processes=0 runs the objects in this process"
            ) from None
        if item is None:
            return None
        error = RuntimeError(f"its process {status}")
        return keep_record(folder, item, failure(error), time.perf_counter() - began)
    worker.ready = True
    return answer
