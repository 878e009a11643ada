"""SIGTERM and SIGINT: as requests to stop, and as errors that end a command in order."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

from jaxvsnerf.errors import Interrupted, Terminated

SIGNALLED = 128  # plus the signal's number, what a shell expects of a process ended by it
RETRY_SECONDS = 0.05


class _Stopped(KeyboardInterrupt):
    """A KeyboardInterrupt whose end can be watched."""


def end_in_order() -> None:
    """Makes SIGTERM raise Terminated, as SIGINT raises KeyboardInterrupt, and neither is lost.

    Blocks that write files then remove what is half written. A library may drop an error that is
    raised while its callback runs, as XLA does after a garbage collection: a signal whose error
    ends without `arrived` is sent again. A signal that is ignored stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    usual = {
        signal.SIGTERM: (signal.SIG_DFL, Terminated),
        signal.SIGINT: (signal.default_int_handler, _Stopped),
    }
    for number, (handler, error) in usual.items():
        if signal.getsignal(number) is handler:
            signal.signal(number, partial(_raise, error))
    sys.unraisablehook = partial(_tell_unless_sent_again, sys.unraisablehook)


def arrived(error: BaseException) -> None:
    """Says that a command ends by the error of a signal, which is thus not sent again."""
    if again := getattr(error, "again", None):
        again.detach()


def _raise(kind: type[BaseException], number: int, frame: object) -> NoReturn:
    error = kind(SIGNALLED + number)
    error.again = weakref.finalize(error, _send_again, number)
    error.again.atexit = False
    try:
        raise error
    finally:
        del error  # its traceback holds this frame: an error that is dropped must end at once


def _send_again(number: int) -> None:
    timer = threading.Timer(RETRY_SECONDS, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


def _tell_unless_sent_again(tell: Callable[[Any], object], what: Any) -> None:
    if what.exc_type not in (Terminated, _Stopped):
        tell(what)


@contextlib.contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Turns SIGTERM and SIGINT into requests to stop after the current dispatch.

    A second signal of the same kind acts at once. Only the main thread receives signals; in another
    thread the function returns False.

    Yields:
      A function that returns whether a signal came. An Interrupted that leaves the block is given
      the signal's number.
    """
    asked = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number, frame):
        asked.append(number)
        signal.signal(number, before[number])

    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(asked)
    except Interrupted as stopped:
        stopped.number = next(iter(asked), stopped.number)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
