"""Runs the project's commands as a user does."""

import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np

import jaxvsnerf

ROOT = Path(__file__).parents[1]


def environment() -> dict[str, str]:
    """The environment of a command: CPU, the project importable."""
    return {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def command(name: str, *arguments: str) -> list[str]:
    """`python -m jaxvsnerf.<name> arguments`."""
    return [sys.executable, "-m", f"jaxvsnerf.{name}", *arguments]


def train_arguments(workdir, *overrides: str, config: str = "smoke") -> list[str]:
    """Arguments of a training run."""
    return [f"--config={ROOT / 'configs' / config}.py", f"--workdir={workdir}", *overrides]


def run(name: str, *arguments: str, **kwargs) -> subprocess.CompletedProcess:
    """Runs a command to its end."""
    return subprocess.run(
        command(name, *arguments),
        capture_output=True,
        text=True,
        env={**environment(), **kwargs.pop("env", {})},
        cwd=ROOT,
        **kwargs,
    )


def start(name: str, *arguments: str, env: dict[str, str]) -> subprocess.Popen:
    """Starts a command and leaves it running."""
    return subprocess.Popen(
        command(name, *arguments),
        env={**environment(), **env},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, process: subprocess.Popen, seconds: float = 240) -> None:
    """Waits until a condition of a running command holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.005)


def saved(folder: Path, stage: str):
    """A condition: a run has a checkpoint of a stage; any, since only the newest are kept."""
    steps = folder / "checkpoints" / stage
    return lambda: any(step.name.isdigit() for step in steps.glob("*"))


def final_state(folder):
    """Every array of the last checkpoint, by name."""
    field = jaxvsnerf.load(folder)
    leaves = jax.tree_util.tree_leaves_with_path((field.params, field.grid))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_same_bits(a, b):
    left, right = final_state(a), final_state(b)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
