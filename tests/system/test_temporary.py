"""What a killed process leaves is removed by who next writes in the folder; nothing else is."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jaxvsnerf.system import temporary as module
from jaxvsnerf.system.files import check_room, replacing, write_text
from jaxvsnerf.system.temporary import DAY_SECONDS, temporary
from tests import commands

pytestmark = pytest.mark.skipif(module.fcntl is None, reason="the system has no locks of files")

FILE = """
with replacing(folder / "page.html") as made:
    made.write_text("half")
    wait()
"""
FOLDER = """
with temporary(folder) as made:
    (made / "params").mkdir(parents=True)
    (made / "params" / "array").write_text("half")
    made.with_name(made.name + ".old").mkdir()
    wait()
"""
ROOM = """
os.posix_fallocate = lambda *_: wait()
check_room(folder, 1000)
"""
BEGIN = """
import os, sys, time
from pathlib import Path
from jaxvsnerf.system.files import check_room, replacing
from jaxvsnerf.system.temporary import temporary
folder = Path(sys.argv[1])
def wait():
    print("written", flush=True)
    time.sleep(60)
"""


def writing(folder, work):
    """A process in the midst of its work."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + work, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=commands.environment(),
    )
    assert process.stdout.readline() == "written\n"
    return process


def end(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("work", [FILE, FOLDER, ROOM], ids=["file", "folder", "room"])
def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(work, tmp_path):
    process = writing(tmp_path, work)
    try:
        there = names(tmp_path)
        assert len(there) >= 2 and all(name.startswith(module.PREFIX) for name in there)
        write_text(tmp_path / "other.txt", "new")
        assert names(tmp_path) == [*there, "other.txt"]
    finally:
        end(process)
    assert names(tmp_path) == [*there, "other.txt"]
    write_text(tmp_path / "other.txt", "newer")
    assert names(tmp_path) == ["other.txt"]


def test_a_process_keeps_its_own_temporaries_and_no_lock_stays(tmp_path):
    with temporary(tmp_path, ".png") as one, replacing(tmp_path / "a.png") as other:
        one.touch()
        other.touch()
        check_room(tmp_path, 1)
        assert one.exists() and other.exists()
    assert names(tmp_path) == ["a.png"]


def left_by(machine, folder, age):
    """What a process of a machine left in a folder, `age` seconds ago."""
    lock = folder / f"{module.PREFIX}{machine}-0123456789ab{module.LOCK}"
    for path in (lock, lock.with_suffix(".png")):
        path.touch()
        os.utime(path, (time.time() - age,) * 2)


def test_what_another_machine_left_goes_after_a_day(tmp_path):
    left_by("00000000", tmp_path, DAY_SECONDS - 100)
    write_text(tmp_path / "a.txt", "")
    assert len(names(tmp_path)) == 3
    left_by("00000000", tmp_path, DAY_SECONDS + 100)
    write_text(tmp_path / "a.txt", "")
    assert names(tmp_path) == ["a.txt"]


def test_without_locks_files_are_written_and_nothing_is_removed(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(module.fcntl, "flock", no_locks)
    left_by(module._machine(), tmp_path, 10 * DAY_SECONDS)
    there = names(tmp_path)
    write_text(tmp_path / "a.txt", "")
    assert names(tmp_path) == [*there, "a.txt"]


def test_a_lock_that_was_taken_for_a_dead_processs_is_replaced(tmp_path, monkeypatch):
    flock, taken = module.fcntl.flock, []

    def late(descriptor, how):
        """Another process is faster than the first lock."""
        if not taken:
            taken.append(True)
            for path in tmp_path.iterdir():
                path.unlink()
        return flock(descriptor, how)

    monkeypatch.setattr(module.fcntl, "flock", late)
    with temporary(tmp_path) as made:
        assert taken and [f"{made.name}{module.LOCK}"] == names(tmp_path)


def test_a_file_and_its_name_are_on_the_disk_before_it_counts_as_written(tmp_path, monkeypatch):
    """The order of what is asked of the system: the file, its name, the folder."""
    asked, fsync, move = [], os.fsync, os.replace

    def waited(descriptor):
        asked.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def moved(old, new):
        asked.append("replace")
        move(old, new)

    monkeypatch.setattr(os, "fsync", waited)
    monkeypatch.setattr(os, "replace", moved)
    with replacing(tmp_path / "a.txt") as made:
        made.write_text("whole")
    file, folder = ((tmp_path / name).stat().st_ino for name in ("a.txt", "."))
    assert asked == [file, "replace", folder]
