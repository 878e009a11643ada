"""Runs the project's commands as a user does."""

import functools
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
# Imports commands, and what they import late, once; then runs each call in a process of its own.
SERVER = """
import importlib, json, os, sys, traceback
import orbax.checkpoint, trimesh

def load(name):
    module = importlib.import_module(name)
    return load(name + ".__main__") if hasattr(module, "__path__") else module

def run(module, arguments, folder, index):
    files = os.devnull, f"{folder}/{index}.out", f"{folder}/{index}.err"
    for stream, name in enumerate(files):
        os.dup2(os.open(name, os.O_CREAT | os.O_RDWR), stream)
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

for line in sys.stdin:
    calls, folder, environment = json.loads(line)
    modules = [load(f"jaxvsnerf.{name}") for name, *_ in calls]
    for index, (module, (_, *arguments)) in enumerate(zip(modules, calls)):
        child = os.fork()
        if not child:
            os.environ.clear()
            os.environ.update(environment)
            run(module, arguments, folder, index)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        open(f"{folder}/{index}.status", "w").write(str(status))
    print("done", flush=True)
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

    A process that has imported all they need makes a process of its own for every command.

    Args:
      calls: the name of a command and its arguments, of each.
    """
    given = environment()
    read_by_imports = {k: v for k, v in given.items() if k.startswith(("JAX_", "PYTHON"))}
    server = _server(frozenset(read_by_imports.items()))
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps([calls, folder, given]), file=server.stdin, flush=True)
        assert server.stdout.readline() == "done\n", "the process that runs commands has ended"
        said = [
            [(Path(folder) / f"{index}.{name}").read_text() for name in ("status", "out", "err")]
            for index in range(len(calls))
        ]
    return [
        subprocess.CompletedProcess(call, int(status), out, errors)
        for call, (status, out, errors) in zip(calls, said, strict=True)
    ]


@functools.cache
def _server(read_by_imports: frozenset[tuple[str, str]]) -> subprocess.Popen:
    """The process of `run_each` in an environment; it ends when its standard input does."""
    given = {**environment(), **dict(read_by_imports)}
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", SERVER]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=given, cwd=ROOT)


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
