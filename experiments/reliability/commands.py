"""Starts the project's commands as a user does, kills them, and looks at what they leave."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxvsnerf

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "configs" / "smoke.py"
# A command that takes so many seconds hangs.
LIMIT = 600.0


def command(name: str, *arguments: object) -> list[str]:
    """`python -m jaxvsnerf.<name> arguments`."""
    return [sys.executable, "-m", f"jaxvsnerf.{name}", *map(str, arguments)]


def train(folder: Path, *more: str) -> list[str]:
    """The smoke run in a folder."""
    return command("train", f"--config={SMOKE}", f"--workdir={folder}", *more)


def start(arguments: list[str], **environment: str) -> subprocess.Popen:
    """Starts a command in a group of processes of its own, its words in pipes."""
    return subprocess.Popen(
        arguments,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> tuple[int | None, str, str]:
    """(exit status, or None after a hang; standard output; standard error)."""
    try:
        printed, errors = process.communicate(timeout=LIMIT)
        return process.returncode, printed, errors
    except subprocess.TimeoutExpired:
        process.kill()
        printed, errors = process.communicate()
        return None, printed, errors


def kill_after(process: subprocess.Popen, seconds: float) -> bool:
    """Kills a command after a time; whether the command was still at work."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.002)
    at_work = process.poll() is None
    process.kill()
    process.communicate()
    return at_work


def final_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Every array of a run's last checkpoint, by name."""
    field = jaxvsnerf.load(str(folder))
    leaves = jax.tree_util.tree_leaves_with_path((field.params, field.grid))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """The first array that differs, or ''."""
    if one.keys() != other.keys():
        return f"other arrays: {sorted(one.keys() ^ other.keys())[:3]}"
    names = (name for name in one if one[name].tobytes() != other[name].tobytes())
    return next(names, "")


def leftovers(folder: Path) -> list[str]:
    """Files of a finished run's folder that a killed process left half-written."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    hidden = (name for name in names if Path(name).name.startswith(".") or ".tmp" in name)
    return sorted(name for name in hidden if Path(name).name != ".lock")
