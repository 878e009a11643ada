"""Standard streams whose state stops no command: closed ones, and pipes whose reader has gone."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TextIO

# Nobody reads any more: the reader of a pipe has ended, or the terminal is gone.
NO_READER = (errno.EPIPE, errno.EIO)


class _Patient(io.FileIO):
    """Drops what cannot be written, and keeps the first reason as `failure`.

    Hours of training must not end because `head` or a terminal did: the lines are in log.txt.
    """

    failure: OSError | None = None

    def write(self, data) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failure = self.failure or error
            return memoryview(data).nbytes


def settle() -> None:
    """Makes the standard streams of this process safe to write to; the first act of a command.

    A closed stream leads nowhere from here on. Otherwise the next file that is opened would take
    its number and receive what libraries print. Letters that an encoding lacks are written as
    escapes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115 - open until the process ends
    sys.stdout, sys.stderr = _patient(sys.stdout, 1), _patient(sys.stderr, 2)


def _patient(stream: TextIO | None, number: int) -> TextIO:
    raw = _Patient(number, "w", closefd=False)
    unbuffered = getattr(stream, "write_through", False)  # PYTHONUNBUFFERED
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        encoding=stream.encoding if stream else "utf-8",
        errors="backslashreplace",
        line_buffering=number == 2 or getattr(stream, "line_buffering", False),
        write_through=unbuffered,
    )


def lost_output() -> str:
    """Why a part of stdout could not be written; '' if all was, or if nobody reads it."""
    sys.stdout.flush()
    below = sys.stdout.buffer
    failure = getattr(getattr(below, "raw", below), "failure", None)
    if failure is None or failure.errno in NO_READER:
        return ""
    return f"standard output could not be written: {failure.strerror}"
