"""What a run took: time to the first step, memory, seconds by phase."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.measure import Memory, duration

# Phases between training and the page.
FOLLOWING = ("evaluate", "render", "export")


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
