"""Flips single bits of checkpoints: no number may change unnoticed."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from experiments.reliability import commands
from jaxvsnerf.errors import describe, is_expected


def flipped_bit(out: Path, run: Path, case: int, seed: int) -> dict[str, Any]:
    """One bit of one file of the newest checkpoint is the other; the run is loaded."""
    rng = np.random.default_rng((seed, case, 4))
    folder = out / "flipped"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run, folder)
    newest = max((folder / "checkpoints" / "stage3").glob("[0-9]*"), key=lambda p: int(p.name))
    files = sorted(path for path in newest.rglob("*") if path.is_file() and path.stat().st_size)
    sizes = np.array([path.stat().st_size for path in files], float)
    path = files[int(rng.choice(len(files), p=sizes / sizes.sum()))]
    data = bytearray(path.read_bytes())
    place, bit = int(rng.integers(len(data))), int(rng.integers(8))
    data[place] ^= 1 << bit
    path.write_bytes(data)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            changed = commands.difference(commands.final_arrays(folder), commands.final_arrays(run))
        outcome = "same" if not changed else "noticed" if said.getvalue() else "unnoticed"
    except Exception as error:
        outcome, changed = ("noticed" if is_expected(error) else "traceback"), describe(error)
    where = f"bit {bit} of byte {place} of {path.relative_to(folder)}"
    words = f"{where} {changed}"[:300].replace(str(folder), "DIR")
    return dict(part="bits", door="bits", case=case, outcome=outcome, said=words)
