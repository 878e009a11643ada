"""Handles damaged inputs one by one, in one warm process, and says what became of each.

A line of JSON on standard input is a case: {"door", "case", "seed"}. The answer is a line on
standard output. `pool.py` starts this program, and ends a process that hangs.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.reliability.damage import damage, damage_json
from experiments.reliability.doors import Door, Garbage, doors
from jaxvsnerf.errors import describe, is_expected

# A message names the file, the view or the setting that it is about.
NAMES = ("DIR", "view ", "data.")


def resident(field: str) -> float:
    """Memory of this process in MB: VmRSS now, VmHWM the most since `forget_most`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")


def forget_most() -> None:
    """Lets VmHWM begin again at what is in use."""
    Path("/proc/self/clear_refs").write_text("5")


@contextlib.contextmanager
def damaged(base: Path, door: Door, rng: np.random.Generator) -> Iterator[tuple[Path, str]]:
    """A copy of right files with one file damaged, and the words on the damage."""
    folder = base.with_name(f"{base.name}_case")
    shutil.copytree(base, folder)
    try:
        targets = sorted(path for path in folder.glob(door.targets) if path.is_file())
        target = targets[int(rng.integers(len(targets)))]
        change = damage_json if ".json" in target.name else damage
        kind, data = change(target.read_bytes(), rng)
        target.write_bytes(data)
        yield folder, f"{kind} in {target.relative_to(folder)}"
    finally:
        shutil.rmtree(folder)


def outcome_of(door: Door, folder: Path) -> tuple[str, str]:
    """(what happened, its words): read, refused, garbage or traceback."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            door.read(folder)
    except Garbage as error:
        return "garbage", str(error)
    except Exception as error:
        words = describe(error).replace(str(folder), "DIR")
        if not is_expected(error):
            return "traceback", f"{type(error).__name__}: {words}"
        return ("refused" if any(name in words for name in NAMES) else "unnamed"), words
    return "read", ""


def handle(case: dict[str, Any], base: Path, door: Door) -> dict[str, Any]:
    """One case, from damage to judgement."""
    entropy = (case["seed"], zlib.crc32(case["door"].encode()), case["case"])
    with damaged(base, door, np.random.default_rng(entropy)) as (folder, words):
        forget_most()
        before, start = resident("VmRSS"), time.monotonic()
        outcome, said = outcome_of(door, folder)
        seconds, grown = time.monotonic() - start, resident("VmHWM") - before
    facts = dict(outcome=outcome, damage=words, said=said[:400])
    return {**case, **facts, "seconds": round(seconds, 3), "grown_mb": round(grown)}


def main(run: str, scratch: str) -> None:
    """The program: makes the right files of each door once, and answers cases."""
    known, folder = doors(Path(run)), Path(scratch)
    # Only answers go to standard output.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        case = json.loads(line)
        door, base = known[case["door"]], folder / case["door"]
        if not base.exists():
            base.mkdir(parents=True)
            door.make(base)
            door.read(base)  # right files are read, and programs are compiled
        shutil.rmtree(base.with_name(f"{base.name}_case"), ignore_errors=True)
        answers.write(json.dumps(handle(case, base, door)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
