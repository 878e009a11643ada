"""A study on a local Ray cluster: lost workers, failures, a stop."""

import importlib.util
import os
import signal
from pathlib import Path

import pytest

from tests import commands
from tests import study_objects as tiny
from tests.commands import wait_for

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is absent: pip install '.[cluster]'"
)


@pytest.fixture
def objects(tmp_path):
    folder = tmp_path / "objects"
    for name in ("one", "two"):
        tiny.write_strip(folder / f"{name}.png", tiny.toy().inputs.images)
    return folder


def start(objects, out, *more):
    arguments = tiny.arguments(objects, out, "--cluster=auto", *more)
    return commands.start("study", *arguments)


def workers_of(process) -> list[int]:
    """Ids of the Ray workers among a process's descendants that are at an object."""
    parents, found = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rsplit(")")[-1].split()[1]
            )
            if (folder / "cmdline").read_bytes().startswith(b"ray::Worker"):
                found.append(int(folder.name))
        except OSError:
            continue  # it ended meanwhile

    def belongs(pid):
        return pid == process.pid or (pid in parents and belongs(parents[pid]))

    return [pid for pid in found if belongs(pid)]


def test_without_ray_the_pip_line_is_said(objects, tmp_path):
    # A folder named like the module, first on the path, that cannot be imported.
    (tmp_path / "shadow" / "ray").mkdir(parents=True)
    (tmp_path / "shadow" / "ray" / "__init__.py").write_text("raise ImportError('absent')")
    path = f"{tmp_path / 'shadow'}{os.pathsep}{commands.ROOT}"
    arguments = tiny.arguments(objects, tmp_path / "out", "--cluster=auto")
    done = commands.run("study", *arguments, env={"PYTHONPATH": path})
    assert done.returncode == 1
    assert "pip install 'jaxvsnerf[cluster]'" in done.stderr.splitlines()[-1]


@needs_ray
def test_a_killed_worker_is_replaced_and_its_object_goes_on(objects, tmp_path):
    out = tmp_path / "out"
    tiny.break_picture(objects / "two.png")
    process = start(objects, out, "--config.stage1.steps=600")
    wait_for(commands.saved(out / "one", "stage1"), process)
    for worker in workers_of(process):
        os.kill(worker, signal.SIGKILL)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 1, errors
    found = tiny.rows(out)
    assert found["one"]["status"] == "ok", output
    assert "going on from stage1 step" in (out / "one" / "log.txt").read_text()
    # What an object itself fails with is not tried again.
    assert found["two"]["status"] == "failed" and "truncated" in found["two"]["error"]
    assert "lost" not in output


@needs_ray
def test_sigterm_reaches_the_workers(objects, tmp_path):
    out = tmp_path / "out"
    process = start(objects, out, "--config.stage1.steps=1000000")
    wait_for(commands.saved(out / "one", "stage1"), process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 143, errors
    assert "saved" in (out / "one" / "log.txt").read_text()
    assert not (out / "one" / "record.json").exists()
