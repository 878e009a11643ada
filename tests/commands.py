"""Runs the project's commands as a user does."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

import jaxvsnerf

ROOT = Path(__file__).parents[1]
# For commands whose programs no other command uses: they compile in half the time and run slowly.
QUICK_TO_COMPILE = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
# Imports commands, then runs each call of them in a process of its own.
FORKS = """
import importlib, json, os, sys, traceback
calls, folder = json.load(sys.stdin), sys.argv[1]

def load(name):
    module = importlib.import_module(name)
    return load(name + ".__main__") if hasattr(module, "__path__") else module

modules = [load(f"jaxvsnerf.{name}") for name, *_ in calls]
for index, (module, (_, *arguments)) in enumerate(zip(modules, calls)):
    if child := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        open(f"{folder}/{index}.status", "w").write(str(status))
        continue
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{folder}/{index}.{name}", os.O_CREAT | os.O_WRONLY), stream)
    sys.argv, sys.modules["__main__"] = [module.__file__, *arguments], module
    status = 1
    try:
        module.main()
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(status)
"""


def environment() -> dict[str, str]:
    """The environment of a command: CPU, the project importable."""
    return {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def xla_flags(*flags: str) -> dict[str, str]:
    """An environment in which XLA is told more than it is told already."""
    return {"XLA_FLAGS": " ".join([os.environ.get("XLA_FLAGS", ""), *flags]).strip()}


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


def run_each(*calls: tuple[str, ...]) -> list[subprocess.CompletedProcess]:
    """Runs commands one after the other, which takes less than `run` for each of them.

    All that they import is imported once, then every command gets a process of its own.

    Args:
      calls: the name of a command and its arguments, of each.
    """
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-c", FORKS, folder],
            input=json.dumps(calls),
            text=True,
            env=environment(),
            cwd=ROOT,
            check=True,
        )
        said = [
            [(Path(folder) / f"{index}.{name}").read_text() for name in ("status", "out", "err")]
            for index in range(len(calls))
        ]
    return [
        subprocess.CompletedProcess(call, int(status), out, errors)
        for call, (status, out, errors) in zip(calls, said, strict=True)
    ]


def start(name: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen:
    """Starts a command and leaves it running."""
    return subprocess.Popen(
        command(name, *arguments),
        env={**environment(), **(env or {})},
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
