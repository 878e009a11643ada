"""Runs the project's commands as a user does."""

import os
import subprocess
import sys
from pathlib import Path

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
