"""Starts commands from hostile surroundings, and fills a disk while they write."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from experiments.reliability import commands, kills

# Name -> (shell words around the command, environment).
SURROUNDINGS: dict[str, tuple[str, dict[str, str]]] = {
    "no GPU where one is asked for": ("{}", {"JAX_PLATFORMS": "cuda"}),
    "no standard output": ("{} >&-", {}),
    "no standard error": ("{} 2>&-", {}),
    "no standard input": ("{} <&-", {}),
    "a reader that leaves": ("{} | head -1", {}),
    "1 GB of address space": ("ulimit -v 1000000; {}", {}),
    "64 open files": ("ulimit -n 64; {}", {}),
    "no home": ("unset HOME; {}", {"XDG_CACHE_HOME": "/nonexistent"}),
    "no folder for temporary files": ("{}", {"TMPDIR": "/nonexistent"}),
    "plain ASCII": ("{}", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "no assertions, no docstrings": ("{}", {"PYTHONOPTIMIZE": "2"}),
    "a terminal of one column": ("{}", {"COLUMNS": "1", "LINES": "1"}),
}


def hostile(out: Path, name: str) -> dict[str, Any]:
    """`doctor` and the smoke run from one of SURROUNDINGS."""
    words, environment = SURROUNDINGS[name]
    folder = out / "hostile"
    shutil.rmtree(folder, ignore_errors=True)
    said, outcome = [], "held"
    for arguments in (commands.command("doctor"), commands.train(folder)):
        line = words.format(shlex.join(arguments))
        process = commands.start(["bash", "-c", line], **environment)
        status, printed, errors = commands.finish(process)
        if status is None:
            outcome = "hang"
        elif "Traceback" in errors + printed:
            outcome = "traceback"
        elif status < 0 or "Fatal" in errors:
            outcome = "crash"
        said.append(f"{arguments[2].split('.')[1]} {status}: {errors.strip()[-200:]}")
    return dict(part="surroundings", door=name, case=0, outcome=outcome, said=" | ".join(said))


def full_disk(out: Path, case: int, seed: int) -> dict[str, Any]:
    """A run whose files may not grow beyond a random size, and then may.

    The limit stands for a disk that fills up while a file is written.
    """
    whole, _ = kills.whole_run(out)
    rng, folder = np.random.default_rng((seed, case, 5)), out / f"full_{case}"
    shutil.rmtree(folder, ignore_errors=True)
    blocks = int(2 ** rng.uniform(0, 11))  # of 1024 bytes
    shell = f"trap '' XFSZ; ulimit -f {blocks}; {shlex.join(commands.train(folder))}"
    # Programs come from the cache, but none is added to the cache.
    no_cache = {"JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": str(2**40)}
    status, _, errors = commands.finish(commands.start(["bash", "-c", shell], **no_cache))
    words = f"{blocks} kB: {errors.strip()[-250:]}"
    row = dict(part="disks", door="disks", case=case, said=words)
    if status is None or "Traceback" in errors:
        return {**row, "outcome": "hang" if status is None else "traceback"}
    if status and str(folder) not in errors:
        return {**row, "outcome": "unnamed"}
    status, _, errors = commands.finish(commands.start(commands.train(folder)))
    if status:
        return {**row, "outcome": "failed", "said": f"{words} THEN {errors[-250:]}"}
    outcome, said = kills.verdict(folder, whole)
    if outcome == "equal":
        shutil.rmtree(folder)
    return {**row, "outcome": outcome, "said": f"{words} {said}"}
