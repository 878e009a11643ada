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
    """The peak of memory use.

    Attributes:
      bytes: the peak.
      of: `device` (the device with the highest peak) or `process` (the host's memory).
    """

    bytes: int
    of: str


def process_age() -> float:
    """Seconds since this process started; 0 on systems other than Linux, which do not tell."""
    try:
        # Counted from the end of the command's name, which may contain spaces.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    ticks = int(fields[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def peak_memory(devices: Sequence[jax.Device]) -> Memory | None:
    """The highest peak of this process's `devices`; with CPU devices the peak of the process."""
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
    """Stores the seconds that the block took under `phase`, also after an error."""
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds[phase] = time.perf_counter() - started


def duration(seconds: float) -> str:
    """Seconds as text: 0.42 s, 12.3 s, 2 min 05 s, 1 h 02 min."""
    if seconds < 59.95:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
