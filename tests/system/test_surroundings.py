"""The process's surroundings: streams, signals, platforms, memory. Each works or is one line."""

import errno
import importlib.util
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import jax
import pytest
from absl import logging

from jaxvsnerf.errors import Interrupted
from jaxvsnerf.system import cli, compilation, signals
from jaxvsnerf.system.help import docstring
from jaxvsnerf.system.machine import machine_problem
from tests import commands

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX's shell, signals and devices")
FRAME = "import os, signal, sys, time\nfrom jaxvsnerf.system import cli\n"
# A command that works on after its first line, and proves so by a file.
WORKS_ON = FRAME + (
    "from jaxvsnerf.system.files import write_text\n"
    "def work(_):\n"
    "    for k in range(3):\n"
    "        cli.say(f'line {k}')\n"
    "        time.sleep(0.1)\n"
    "    cli.complain('a warning')\n"
    "    write_text('done.txt', 'whole')\n"
    "cli.run(work)"
)


def shell(line: str, *words: str, folder, **env: str) -> subprocess.CompletedProcess:
    """Runs a line of bash; "$@" is `words`."""
    return subprocess.run(
        ["bash", "-c", line, "bash", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**commands.environment(), **env},
    )


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


@pytest.mark.parametrize(
    "line",
    [
        '"$@" <&- >&- 2>&-',
        '"$@" >&-',
        '"$@" 2>&-',
        '"$@" | head -1; exit ${PIPESTATUS[0]}',
        '"$@" 2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}',
    ],
)
def test_closed_streams_and_pipes_do_not_stop_a_command(line, tmp_path):
    done = shell(line, *python(WORKS_ON), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "done.txt").read_text() == "whole"
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_a_file_does_not_take_the_place_of_a_closed_stream(tmp_path):
    script = FRAME + (
        "def work(_):\n"
        "    with open('kept.bin', 'wb') as file:\n"
        "        os.write(1, b'printed by a library')\n"
        "        file.write(b'kept')\n"
        "cli.run(work)"
    )
    assert shell('"$@" <&- >&- 2>&-', *python(script), folder=tmp_path).returncode == 0
    assert (tmp_path / "kept.bin").read_bytes() == b"kept"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_a_full_disk_loses_is_said_after_the_work(unbuffered, tmp_path):
    env = {"PYTHONUNBUFFERED": unbuffered}
    done = shell('"$@" >/dev/full', *python(WORKS_ON), folder=tmp_path, **env)
    assert done.returncode == 1 and (tmp_path / "done.txt").exists()
    words = "error: standard output could not be written: No space left on device\n"
    assert done.stderr == f"a warning\n{words}"
    asked = shell('"$@" >/dev/full', *python(WORKS_ON), "--help", folder=tmp_path, **env)
    assert (asked.returncode, asked.stderr) == (1, words)


def test_too_few_addresses_are_one_line_before_xla_aborts(tmp_path):
    done = shell('ulimit -v 2000000; exec "$@"', *python(WORKS_ON), folder=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "2.0 GB of addresses" in done.stderr and not (tmp_path / "done.txt").exists()


def test_letters_that_the_terminal_lacks_are_escaped(tmp_path):
    script = FRAME + "cli.run(lambda _: cli.say('\\u00e9 \\u2192 \\udcff'))"
    for env in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}, {}):
        done = shell('"$@"', *python(script), folder=tmp_path, **env)
        assert done.returncode == 0 and done.stdout.endswith("\\udcff\n"), (env, done.stderr)


def test_the_overview_is_read_in_part(tmp_path):
    line = '"$@" | head -1; exit ${PIPESTATUS[0]}'
    done = shell(line, sys.executable, "-m", "jaxvsnerf", folder=commands.ROOT)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name, status", [("SIGTERM", 143), ("SIGINT", 130)])
@pytest.mark.parametrize("where", ["plain", "dropped"])
def test_a_signal_ends_a_command_in_order(name, status, where, tmp_path):
    """Also where a library drops the error, as XLA does with one in its callback."""
    script = FRAME + (
        # A shell starts what runs in its background with SIGINT ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from jaxvsnerf.system.files import replacing\n"
        "class Dropping:\n"
        "    def __del__(self):\n"
        f"        os.kill(os.getpid(), signal.{name})\n"
        "        time.sleep(0.1)\n"
        "def work(_):\n"
        "    with replacing('mesh.glb') as temporary:\n"
        "        temporary.write_text('half')\n"
        + ("        Dropping()\n" if where == "dropped" else "")
        + "        print('writing', flush=True)\n"
        "        time.sleep(20)\n"
        "cli.run(work)"
    )
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        python(script),
        stdout=pipe,
        stderr=pipe,
        text=True,
        cwd=tmp_path,
        env=commands.environment(),
    )
    assert process.stdout.readline() == "writing\n"
    if where == "plain":
        process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=15)
    assert process.returncode == status
    assert errors == f"stopped by {name}; the same command goes on from what is saved\n"
    assert not list(tmp_path.iterdir())


def test_a_stopped_training_says_by_its_status_which_signal_came(monkeypatch):
    monkeypatch.setattr(cli, "complain", lambda line: None)
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):

        def work(number=number):
            with signals.stop_signal() as stop:
                signal.raise_signal(number)
                if stop():
                    raise Interrupted("saved")

        assert cli.guard(work) == status


@pytest.mark.parametrize("platform, optimized", [("cuda", "0"), ("cuda", "2"), ("cpuu", "2")])
def test_a_platform_that_is_absent_is_one_line(platform, optimized, tmp_path):
    if platform == "cuda" and any(map(importlib.util.find_spec, compilation.GPU_PLUGINS)):
        pytest.skip("JAX has the GPU's side here")
    workdir = tmp_path / "run"
    env = {"JAX_PLATFORMS": platform, "PYTHONOPTIMIZE": optimized}
    name, arguments = ("train", commands.train_arguments(workdir))
    if optimized == "0":
        name, arguments = "doctor", ["--seconds=0"]
    done = commands.run(name, *arguments, env=env)
    assert done.returncode == 1 and not workdir.exists()
    said = done.stderr if name == "train" else done.stdout
    assert f"JAX_PLATFORMS={platform}: expected platforms that JAX finds" in said
    assert "got cpu; unset JAX_PLATFORMS" in said
    assert ("install the GPU's side of JAX" in said) == (platform == "cuda")
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= 1


@pytest.mark.parametrize(
    "error, words",
    [
        (MemoryError("std::bad_alloc"), r"out of memory \(std::bad_alloc\); .*downscale=2"),
        (MemoryError(), r"out of memory \(MemoryError\)"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while ...\nmore"), "while ...\\); end"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
    ],
    ids=repr,
)
def test_what_the_machine_lacks_is_one_line(error, words, capsys):
    def work():
        raise error

    assert cli.guard(work) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and len(said.splitlines()) == 1
    assert re.search(words, said), said
    with pytest.raises(type(error)):
        cli.guard(work, traceback=True)


def test_a_bug_is_nothing_that_the_machine_lacks():
    assert [machine_problem(bug) for bug in (ValueError("x"), KeyError("y"), OSError(9, "z"))] == [
        "",
        "",
        "",
    ]


def test_help_has_its_head_where_python_drops_docstrings():
    dropped = SimpleNamespace(**{**vars(cli), "__doc__": None})
    assert docstring(cli) == cli.__doc__ and docstring(dropped) == ""
    done = commands.run("doctor", "--help", env={"PYTHONOPTIMIZE": "2"})
    assert done.stdout.startswith("Says whether this installation works")


def test_a_cache_folder_that_is_a_file_is_said_once_and_not_used(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    said = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: said.append(text % values))
    before = jax.config.jax_compilation_cache_dir
    try:
        jax.config.update("jax_compilation_cache_dir", str(file))
        compilation.use_cache({})
        assert not jax.config.jax_enable_compilation_cache
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        jax.config.update("jax_enable_compilation_cache", True)
    assert len(said) == 1 and f"expected a folder, got the file {file}" in said[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, env",
    [
        ("x64", {"JAX_ENABLE_X64": "1"}),
        ("optimized", {"PYTHONOPTIMIZE": "2"}),
        ("warnings", {"PYTHONWARNINGS": "error"}),
        ("one thread", {"OMP_NUM_THREADS": "1"}),
        ("no temporary folder", {"TMPDIR": "/nonexistent"}),
        ("plain letters", {"LC_ALL": "POSIX"}),
    ],
)
def test_a_run_trains_in_odd_surroundings(name, env, tmp_path):
    done = commands.run("train", *commands.train_arguments(tmp_path / "é"), env=env)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "é" / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "limit, status", [("ulimit -n 64", 0), ("ulimit -v 1000000", 1), ("exec >&- 2>&- <&-", 0)]
)
def test_a_run_under_limits_trains_or_is_one_line(limit, status, tmp_path):
    arguments = commands.command("train", *commands.train_arguments(tmp_path / "run"))
    done = shell(f'{limit}; exec "$@"', *arguments, folder=tmp_path)
    assert done.returncode == status, done.stderr
    assert len(done.stderr.splitlines()) == status and not status or "out of memory" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["export", "render", "evaluate"])
def test_sigterm_leaves_the_files_of_a_run_whole(name, run_folder, tmp_path):
    folder = tmp_path / "run"
    subprocess.run(["cp", "-r", str(run_folder), str(folder)], check=True)
    lock = folder / ".lock"
    lock.unlink(missing_ok=True)
    before = sorted(folder.rglob("*"))
    process = commands.start(name, f"--workdir={folder}")
    commands.wait_for(lock.exists, process)  # its packages are imported
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143 and "stopped by SIGTERM" in errors
    assert sorted(path for path in folder.rglob("*") if path != lock) == before
