"""Runs that survive: killed, stopped, broken, out of room, diverged."""

import errno
import json
import os
import shutil
import signal
import subprocess

import numpy as np
import pytest

import jaxvsnerf
from jaxvsnerf.run.saved import load_stages
from jaxvsnerf.training import checkpoints as checkpoints_module
from jaxvsnerf.training.checkpoints import BrokenCheckpoint, Checkpoints
from jaxvsnerf.types import TrainState
from tests import commands
from tests.commands import wait_for

STAGES = ("stage1", "stage2", "stage3")


def start(folder, *overrides, **kwargs):
    return commands.start("train", *commands.train_arguments(folder, *overrides), **kwargs)


def assert_ends_as(whole, folder, env=None):
    """Kills a run in stage 2; what goes on must end as the whole run did."""
    process = start(folder, env=env)
    wait_for(commands.saved(folder, "stage2"), process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "mesh.glb").exists()
    done = commands.run("train", *commands.train_arguments(folder), env=env or {})
    assert done.returncode == 0, done.stderr
    assert "going on from stage2 step" in done.stdout
    commands.assert_same_bits(whole, folder)
    scores = [(f / "eval" / "metrics.json").read_text() for f in (whole, folder)]
    assert scores[0] == scores[1]
    logs = [
        [
            {k: v for k, v in json.loads(line).items() if k != "seconds"}
            for line in (f / "metrics.jsonl").read_text().splitlines()
        ]
        for f in (whole, folder)
    ]
    assert logs[0] == logs[1]


def test_a_run_killed_in_stage_2_goes_on_to_the_same_bits_and_scores(run_folder, tmp_path):
    assert_ends_as(run_folder, tmp_path / "killed")


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits_as_xla_compiles_for_users(tmp_path):
    # Tests have XLA compile quickly, see conftest.py.
    usual, whole = {"XLA_FLAGS": ""}, tmp_path / "whole"
    done = commands.run("train", *commands.train_arguments(whole), env=usual)
    assert done.returncode == 0, done.stderr
    assert_ends_as(whole, tmp_path / "killed", usual)


def test_sigterm_saves_and_exits_and_a_second_process_is_refused(tmp_path):
    folder = tmp_path / "terminated"
    endless = "--config.stage1.steps=1000000"
    alone = ("--config.stage2.steps=0", "--config.stage3.steps=0")
    process = start(folder, endless, *alone)
    wait_for((folder / "config.json").exists, process)
    second = commands.run("train", *commands.train_arguments(folder, endless, *alone))
    assert second.returncode == 1 and "another process is at work" in second.stderr
    wait_for(commands.saved(folder, "stage1"), process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 143, errors
    assert "saved; the same command goes on" in errors
    names = [p for p in (folder / "checkpoints").rglob("*") if p.name.isdigit()]
    assert names


@pytest.mark.slow
def test_a_checkpoint_opens_on_another_number_of_devices(run_folder, tmp_path):
    folder = tmp_path / "devices"
    shutil.copytree(run_folder, folder)
    shutil.rmtree(folder / "checkpoints" / "stage3")
    process = commands.start(
        "train",
        *commands.train_arguments(folder),
        env=commands.xla_flags("--xla_force_host_platform_device_count=4"),
    )
    wait_for(commands.saved(folder, "stage3"), process)
    process.kill()
    printed, errors = process.communicate()
    assert "4 cpu device(s)" in printed and "going on from stage2 step 6" in printed, errors
    # Written by four devices, read by the one of this process.
    assert jaxvsnerf.load(folder).mode == "fused"
    assert not (folder / "checkpoints" / "broken").exists()


def test_a_checkpoint_of_another_format_is_refused_and_stays(run_folder, tmp_path, monkeypatch):
    shutil.copytree(run_folder / "checkpoints", tmp_path / "checkpoints")
    monkeypatch.setattr(checkpoints_module, "FORMAT_VERSION", 4)
    checkpoints = Checkpoints(tmp_path / "checkpoints", STAGES)
    with pytest.raises(ValueError, match="expected checkpoint format 4, got 3"):
        checkpoints.restore_newest(lambda _: None)
    assert checkpoints.steps("stage3") == [4, 6]


def test_a_broken_newest_checkpoint_falls_back_to_the_one_before(run_folder, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(run_folder, folder)
    newest = folder / "checkpoints" / "stage3" / "6"
    for file in newest.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    done = commands.run("train", *commands.train_arguments(folder))
    assert done.returncode == 0, done.stderr
    assert "cannot be read" in done.stderr and "going on from stage3 step 4" in done.stdout
    assert (folder / "checkpoints" / "broken" / "stage3-6").is_dir()
    commands.assert_same_bits(run_folder, folder)


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "stage, remedy", [("stage3", "goes on from the checkpoint before"), ("stage1", "then left out")]
)
def test_a_flipped_bit_of_a_finished_stage_is_said_with_its_remedy(
    run_folder, tmp_path, stage, remedy
):
    folder = tmp_path / "flipped"
    shutil.copytree(run_folder, folder)
    saved = folder / "checkpoints" / stage / "6"
    largest = max((p for p in saved.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    flip(largest, largest.stat().st_size // 2)
    with pytest.raises(BrokenCheckpoint, match=f"{stage} step 6 .*cannot be read.*{remedy}"):
        load_stages(folder)
    if stage == "stage1":
        assert jaxvsnerf.load(folder).mode == "fused"
        shutil.move(saved, tmp_path)
        assert list(load_stages(folder)) == ["stage2", "stage3"]


def test_when_no_checkpoint_can_be_read_training_does_not_silently_start_again(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", STAGES)
    (tmp_path / "checkpoints").mkdir()
    checkpoints.save("stage1", TrainState(np.int32(3), {"w": np.zeros(9, np.float32)}, None, None))
    for file in (tmp_path / "checkpoints" / "stage1" / "3").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with pytest.raises(BrokenCheckpoint, match="none of the 1 checkpoints could be read"):
        checkpoints.restore_newest(lambda _: None)
    assert (tmp_path / "checkpoints" / "broken" / "stage1-3").is_dir()


def test_another_config_in_the_same_workdir_is_refused_with_a_diff(run_folder, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(run_folder, folder)
    before = sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file())
    done = commands.run("train", *commands.train_arguments(folder, "--config.stage1.steps=9"))
    assert done.returncode == 1
    assert "stage1.steps: 6 -> 9" in done.stderr
    after = sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file())
    assert [p for p in after if p[0].name != ".lock"] == [p for p in before if p[0].name != ".lock"]


@pytest.mark.slow
def test_a_full_disk_is_a_clear_error_and_loses_nothing(run_folder, tmp_path):
    folder = tmp_path / "full"
    shutil.copytree(run_folder, folder)
    shutil.rmtree(folder / "checkpoints" / "stage3")
    # Files may not grow beyond 2 kB, as on a disk that fills up while writing. Programs come
    # from the cache, but none is added to it.
    shell = "trap '' XFSZ; ulimit -f 2; exec \"$@\""
    done = subprocess.run(
        ["bash", "-c", shell, "-", *commands.command("train", *commands.train_arguments(folder))],
        capture_output=True,
        text=True,
        env={
            **commands.environment(),
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": str(2**40),
        },
        cwd=commands.ROOT,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the checkpoint of stage3 at step 2 could not be written")
    assert len(done.stderr.splitlines()) == 1
    assert "last good checkpoint: stage2 step 6" in done.stderr
    assert not list((folder / "checkpoints").rglob("*tmp*"))
    assert Checkpoints(folder / "checkpoints", STAGES).steps("stage2") == [4, 6]
    assert jaxvsnerf.load(folder).mode == "canonical"


def test_a_disk_without_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    state = TrainState(np.int32(3), {"w": np.zeros(1000, np.float32)}, None, None)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    checkpoints = Checkpoints(tmp_path / "checkpoints", STAGES)
    with pytest.raises(OSError, match="stage1 at step 3 .*No space left.*checkpoint: none"):
        checkpoints.save("stage1", state)
    assert not list(tmp_path.iterdir())
