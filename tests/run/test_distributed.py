"""Several processes train one run as one process does."""

import json
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.errors import InputError
from jaxvsnerf.training.processes import join
from tests import commands
from tests.commands import wait_for

# Two stages of the smoke run on a picture that loads at once, and little after them.
SMALL = (
    "--config.stage3.steps=0",
    "--config.field.depth=2",
    "--config.field.shared_layers=1",
    "--config.field.skip_layer=1",
    "--config.mesh.resolution=12",
    "--config.render.turntable_size=8",
    "--config.data.kind=strip",
    "--config.data.rig=orbit",
    "--config.data.elevation_deg=(30.0,)",
    "--config.data.distance=1.5",
    "--config.data.fov_deg=49.13",
    "--config.data.azimuth_deg=(0.0,90.0,180.0,270.0)",
)

SCRIPT = """
import os, sys, time
import jax, numpy as np
from jaxvsnerf import errors
from jaxvsnerf.training import processes
processes.join(os.environ)
me = jax.process_index()
assert processes.is_first() == (me == 0) and len(processes.all_devices()) == 2

mine = {"a": np.array([-0.0, np.nan, me], np.float32), "b": np.array(me == 0), "c": np.int32(me)}
got = processes.from_first(mine)
assert got["a"].tobytes() == np.array([-0.0, np.nan, 0], np.float32).tobytes()
assert bool(got["b"]) is True and got["c"] == 0 and got["c"].shape == ()

assert processes.anywhere(me == 1) and not processes.anywhere(False)
assert processes.most(3 + me) == 4

with processes.together():
    pass
try:
    with processes.together():
        if me == 1:
            raise ValueError("only here: é")
except ValueError as error:
    assert me == 1 and str(error) == "only here: é"
except errors.OtherProcessFailed as error:
    assert me == 0 and str(error) == "only here: é"
else:
    raise SystemExit("one failed alone")

processes.check_same("same")
try:
    processes.check_same("x" * me)
except ValueError as error:
    assert "process 1" in str(error)
else:
    raise SystemExit("a difference went unseen")

processes.leave()
if processes.is_first():
    time.sleep(1)  # longer than the other one lives
print("fine", float(jax.numpy.ones(3).sum()))
"""


def environments():
    """What a launcher would set for each of two processes."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    return [
        {
            **commands.environment(),
            **commands.QUICK_TO_COMPILE,
            **dict(zip(names, (address, "2", index), strict=True)),
        }
        for index in "01"
    ]


def start(*command):
    """Starts a command in two processes."""
    return [
        subprocess.Popen(
            command,
            env=environment,
            cwd=commands.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for environment in environments()
    ]


def end(processes):
    """Waits for the processes: (status, what it printed, its errors) of each."""
    try:
        said = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    # Gloo, which CPUs talk through, greets on the standard output.
    return [
        (process.returncode, [line for line in out.splitlines() if "[Gloo]" not in line], errors)
        for process, (out, errors) in zip(processes, said, strict=True)
    ]


def settings(folder, *overrides):
    """Arguments of a small run in `folder`, on a picture beside it."""
    picture = folder.parent / "strip.png"
    if not picture.exists():
        y, x = np.mgrid[:24, :24] - 11.5
        disc = np.where(x**2 + y**2 < 60, 40, 255).astype(np.uint8)
        Image.fromarray(np.tile(disc, 4)).convert("RGB").save(picture)
    path = f"--config.data.path={picture}"
    return commands.train_arguments(folder, *SMALL, path, *overrides)


def train(folder, *overrides):
    """Starts a run in two processes."""
    return start(*commands.command("train", *settings(folder, "--distributed", *overrides)))


def log(folder):
    """What metrics.jsonl says, but for the times."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """The same run by one process with as many devices, killed when all is trained."""
    folder = tmp_path_factory.mktemp("distributed") / "one"
    devices = commands.xla_flags("--xla_force_host_platform_device_count=2")
    environment = {**commands.QUICK_TO_COMPILE, **devices}
    process = commands.start("train", *settings(folder), env=environment)
    wait_for((folder / "checkpoints" / "stage2" / "6").exists, process)
    process.kill()
    process.communicate()
    return folder


def test_processes_agree_on_values_wishes_and_errors():
    for status, printed, errors in end(start(sys.executable, "-c", SCRIPT)):
        assert status == 0 and printed == ["fine 3.0"], errors


@pytest.mark.slow
def test_two_processes_stopped_by_one_of_them_go_on_and_end_as_one_process(one_process):
    folder = one_process.parent / "two"
    processes = train(folder)
    wait_for(commands.saved(folder, "stage1"), processes[0])
    processes[1].send_signal(signal.SIGTERM)
    for status, _, errors in end(processes):
        assert status == 143 and "saved; the same command goes on" in errors
    assert not (folder / "checkpoints" / "stage2" / "6").exists()

    (first, printed, errors), other = end(train(folder))
    assert first == 0, errors
    assert "2 cpu device(s) in 2 processes" in printed[0] and "going on from stage" in printed[2]
    assert (folder / "report.html").is_file()
    assert other == (0, [], "")
    # One process opens what two wrote.
    commands.assert_same_bits(one_process, folder)
    assert log(one_process) == log(folder)


@pytest.mark.slow
def test_two_processes_open_the_checkpoint_of_one(one_process):
    (first, printed, errors), other = end(train(one_process))
    assert first == 0 and "going on from stage2 step 6" in printed[2], errors
    assert other == (0, [], "")


def test_an_error_of_the_first_process_ends_all_with_its_text(one_process):
    for status, printed, errors in end(train(one_process, "--config.stage1.steps=7")):
        assert status == 1 and printed == []
        assert errors.startswith("error: ") and "stage1.steps: 6 -> 7" in errors


def test_a_bad_flag_ends_all(tmp_path):
    for status, _, errors in end(train(tmp_path / "unused", "--config.stage1.stepz=7")):
        assert status == 2 and "stepz" in errors and len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    "environment, text",
    [
        ({"JAX_COORDINATOR_ADDRESS": "here"}, "expected HOST:PORT, got 'here'"),
        ({"JAX_PROCESS_ID": "one"}, "JAX_PROCESS_ID: expected a whole number, got 'one'"),
    ],
)
def test_a_wrong_environment_is_an_error_that_names_it(environment, text):
    with pytest.raises(InputError, match=text):
        join(environment)


def test_an_environment_without_processes_is_an_error_of_one_line():
    done = commands.run("train", *commands.train_arguments("unused", "--distributed"))
    text = "JAX_COORDINATOR_ADDRESS=HOST:PORT of the first process, JAX_NUM_PROCESSES and"
    assert done.returncode == 1 and text in done.stderr, done.stderr
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
