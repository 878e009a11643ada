"""Time and memory of a run: time to the first step, peak memory, seconds by phase."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.measure import Memory, duration
from jaxvsnerf.system.records import amount, fields, maybe, named, one_of, read_record, whole

# Phases between training and the page.
FOLLOWING = ("evaluate", "render", "export")
FILE = "usage.json"
MEND = "delete the file: the page of the run then lacks its time and memory, and nothing else"
_CHECK = fields(
    {
        "first_step": amount,
        "memory": maybe(fields({"bytes": whole(0), "of": one_of("device", "process")})),
    },
    {"seconds": named(amount)},
)


@dataclass(frozen=True)
class Usage:
    """Time and memory of a train command.

    Attributes:
      first_step: seconds from the command's start to the end of the first dispatch of optimiser
        steps; includes imports, pictures and compilation.
      memory: peak memory until the end of training, None if unknown.
      seconds: phase -> seconds, of all phases that have ended: load, train, evaluate ...
    """

    first_step: float
    memory: Memory | None
    seconds: dict[str, float] = field(default_factory=dict)


def usage_facts(usage: Usage) -> dict[str, str]:
    """Returns label -> short text, for the page."""
    facts = {"first step after": duration(usage.first_step)}
    if usage.memory is not None:
        facts[f"peak memory of the {usage.memory.of}"] = f"{usage.memory.bytes / 1e9:.2f} GB"
    return facts


def save_usage(folder: Path, usage: Usage) -> None:
    """Writes usage.json."""
    write_text(folder / FILE, json.dumps(asdict(usage), indent=2) + "\n")


def load_usage(folder: Path) -> Usage | None:
    """Reads usage.json; None if missing.

    Raises:
      DamagedFile: the file does not hold a `Usage`.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    values = read_record(path, _CHECK, MEND)
    memory = values["memory"] and Memory(values["memory"]["bytes"], values["memory"]["of"])
    return Usage(values["first_step"], memory, values.get("seconds", {}))
