"""What a run took: time to the first step, memory, seconds by phase."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import jax

from jaxvsnerf.files import write_text
from jaxvsnerf.outputs.report import duration

# Phases between training and the page.
FOLLOWING = ("evaluate", "render", "export")


@dataclass(frozen=True)
class Memory:
    """The most memory that was in use at once.

    Attributes:
      bytes: how much.
      of: `device` (the one that used most) or `process` (in the host's memory).
    """

    bytes: int
    of: str


@dataclass(frozen=True)
class Usage:
    """What a train command took.

    Attributes:
      first_step: seconds from the command's start to the end of its first dispatch of
        optimiser steps: imports, pictures, compilation.
      memory: until training ended, None where nobody knows.
      seconds: of its phases that have ended, load, train, evaluate ...
    """

    first_step: float
    memory: Memory | None
    seconds: dict[str, float] = field(default_factory=dict)


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


def usage_facts(usage: Usage) -> dict[str, str]:
    """Label -> short text."""
    facts = {"first step after": duration(usage.first_step)}
    if usage.memory is not None:
        facts[f"peak memory of the {usage.memory.of}"] = f"{usage.memory.bytes / 1e9:.2f} GB"
    return facts


def save_usage(folder: Path, usage: Usage) -> None:
    """Writes usage.json."""
    write_text(folder / "usage.json", json.dumps(asdict(usage), indent=2) + "\n")


def load_usage(folder: Path) -> Usage | None:
    """What usage.json holds, or None where there is none."""
    path = folder / "usage.json"
    if not path.is_file():
        return None
    values = json.loads(path.read_text())
    memory = values["memory"]
    return Usage(values["first_step"], memory and Memory(**memory), values.get("seconds", {}))


@contextlib.contextmanager
def timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Notes how many seconds the block took, however it ends."""
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds[phase] = time.perf_counter() - started
