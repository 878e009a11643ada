"""Seconds and memory of this process."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax


@dataclass(frozen=True)
class Memory:
    """The most memory that was in use at once.

    Attributes:
      bytes: how much.
      of: `device` (the one that used most) or `process` (in the host's memory).
    """

    bytes: int
    of: str


def process_age() -> float:
    """Seconds since this process started; 0 where the system does not say, Linux does."""
    try:
        # Fields are counted from the command's end: its name may hold spaces.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    ticks = int(fields[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def peak_memory(devices: Sequence[jax.Device]) -> Memory | None:
    """The most that any of this process's `devices` held; of a CPU, that the process did."""
    stats = [device.memory_stats() or {} for device in devices]
    peaks = [found["peak_bytes_in_use"] for found in stats if "peak_bytes_in_use" in found]
    if peaks:
        return Memory(max(peaks), "device")
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return Memory(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "process")


@contextlib.contextmanager
def timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Notes how many seconds the block took, however it ends."""
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds[phase] = time.perf_counter() - started


def duration(seconds: float) -> str:
    """Seconds for people: 0.42 s, 12.3 s, 2 min 05 s, 1 h 02 min."""
    if seconds < 59.95:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
