"""Work shared out to threads, some on each device."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax

POLL_SECONDS = 0.2


def work_off(
    items: Iterable[Any],
    work: Callable[[Any, jax.Device], Any],
    devices: Sequence[jax.Device],
    parallel: int,
    give_up: Callable[[], None],
) -> Iterator[Any]:
    """Works items off in threads and yields results in the order they come.

    Args:
      items: what is to be done.
      work: (item, device) -> result; every call uses that device alone, since programs
        that talk between devices must not be started from several threads.
      devices: the devices.
      parallel: items at the same time on each.
      give_up: called if this ends early, by an error or by being closed; makes `work` end
        soon, and is waited for.

    Yields:
      A result per item.

    Raises:
      What `work` raised first.
    """
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    done: queue.SimpleQueue = queue.SimpleQueue()
    count = 0
    for item in items:
        waiting.put(item)
        count += 1

    def run(device: jax.Device) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                item = waiting.get_nowait()
                try:
                    done.put((work(item, device), None))
                except BaseException as error:  # noqa: BLE001 - raised again by the reader
                    done.put((None, error))

    # Daemons do not keep a process that a second signal wants to end.
    threads = [
        threading.Thread(target=run, args=(devices[index % len(devices)],), daemon=True)
        for index in range(min(parallel * len(devices), count))
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(count):
            result, error = _next(done)
            if error is not None:
                raise error
            yield result
    except (Exception, GeneratorExit):
        give_up()
        for thread in threads:
            thread.join()
        raise


def _next(done: queue.SimpleQueue) -> Any:
    """The next of a queue, however long that takes.

    Choice: in short waits. Python runs signal handlers in the main thread alone, and the
    system may deliver a signal to another one: then nothing wakes up a main thread that
    waits without end.
    """
    while True:
        with contextlib.suppress(queue.Empty):
            return done.get(timeout=POLL_SECONDS)
