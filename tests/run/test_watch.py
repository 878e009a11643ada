"""What a run says while it trains: bar, log, event files."""

import errno
import io
import os
import re

import numpy as np
import pytest

from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.errors import error_text
from jaxvsnerf.run import events, logs
from jaxvsnerf.run.door import check_run
from jaxvsnerf.system import cli


class Terminal(io.StringIO):
    """A stdout that is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


def test_a_terminal_has_a_bar_that_fits_a_line_and_passes_until_all_is_done(monkeypatch):
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("COLUMNS", "50")
    cli.say("stage1 30/60 " + 99 * "x", done=0.5)
    cli.say("stage1 60/60", done=1.0)
    cli.say("a result " + 99 * "y")
    half, whole, result = out.getvalue().split(cli.CLEAR)[1:]
    assert half.startswith(" 50%|██████████          | stage1 30/60") and len(half) <= 49
    assert not half.endswith("\n")
    assert whole == f"100%|{20 * '█'}| stage1 60/60\n"
    assert result == "a result " + 99 * "y" + "\n"  # not cut: it stays


def test_elsewhere_there_are_plain_lines(capsys):
    cli.say("stage1 30/60", done=0.5)
    cli.say("reading ...", passing=True)
    assert capsys.readouterr().out == "stage1 30/60\nreading ...\n"


def test_the_log_holds_every_line_with_its_time_and_what_ended_it(tmp_path):
    said = []
    for line in ("one\ntwo", "going on"):
        with (
            pytest.raises(ValueError),
            logs.logged(tmp_path, lambda *a, **k: said.append(a)) as say,
        ):
            say(line, done=0.5)
            raise ValueError("enough")
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)
    assert [line[20:] for line in lines] == [
        *("one", "two", "ValueError: enough", "going on", "ValueError: enough")
    ]
    assert said == [("one\ntwo",), ("going on",)]


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path):
    (tmp_path / "log.txt").symlink_to("/dev/full")
    said = []
    with logs.logged(tmp_path, said.append) as say:
        say("one")
    assert said == ["one"]


def test_a_run_keeps_its_log_and_process_0_alone_writes_it(run_folder):
    log = (run_folder / "log.txt").read_text()
    assert "\r" not in log and "stage3     6/6  loss" in log and "evaluated and exported" in log
    plain = [line[20:] for line in log.splitlines()]
    assert plain == (run_folder / "stdout.txt").read_text().splitlines()


def read(folder):
    """Steps and numbers of every chart in a folder of event files, as TensorBoard reads them."""
    protos = pytest.importorskip(
        "tensorboardX.proto.event_pb2", reason="tensorboardX, the writer, is not installed"
    )
    charts = {}
    for data in (file.read_bytes() for file in sorted(folder.glob("*tfevents*"))):
        while data:  # length, its checksum, the event, its checksum
            size = int.from_bytes(data[:8], "little")
            event, data = protos.Event.FromString(data[12 : 12 + size]), data[16 + size :]
            if event.HasField("session_log"):  # a start: what was known from its step on is void
                charts = {
                    tag: [p for p in seen if p[0] < event.step] for tag, seen in charts.items()
                }
            for value in event.summary.value:
                kind = value.WhichOneof("value")
                shown = value.image.width if kind == "image" else value.simple_value
                charts.setdefault(value.tag, []).append((event.step, shown))
    return {tag: seen for tag, seen in charts.items() if seen}


def test_steps_that_are_trained_again_stand_once_in_the_event_files(tmp_path):
    pytest.importorskip("tensorboardX", reason="tensorboardX, the writer, is not installed")
    stages = {"stage1": 6, "stage2": 4}
    killed = events.EventFiles(tmp_path, stages)
    for step in (2, 4, 6):
        killed.report("stage1", step, 2, {"loss": step / 8})
    killed.report("stage2", 2, 2, {"loss": 1.0})
    killed.scores({"stage1": {"psnr": 20.0}})
    killed.close()
    for file in tmp_path.rglob("*tfevents*"):  # their names have seconds
        file.rename(file.with_name(file.name.replace("tfevents.", "tfevents.0")))
    resumed = events.EventFiles(tmp_path, stages)  # after step 2 of stage 1
    for step in (4, 6):
        resumed.report("stage1", step, 2, {"loss": step / 4})
    resumed.report("stage2", 2, 2, {"loss": 2.0})
    resumed.report("stage2", 4, 2, {"loss": 3.0})
    resumed.scores({"stage1": {"psnr": 21.0}, "stage2": {"psnr": 22.0}})
    resumed.pictures({"input_rendering/a": np.zeros((4, 9, 3), np.float32)})
    resumed.close()
    root = tmp_path / "tensorboard"
    assert read(root / "stage1") == {"loss": [(2, 0.25), (4, 1.0), (6, 1.5)]}
    assert read(root / "stage2") == {"loss": [(8, 2.0), (10, 3.0)]}
    assert read(root / "evaluation") == {
        "score/psnr": [(6, 21.0), (10, 22.0)],
        "input_rendering/a": [(10, 9)],
    }


def test_a_full_disk_ends_event_files_with_their_folder_and_no_waiting(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX", reason="tensorboardX, the writer, is not installed")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(events, "FLUSH_SECONDS", 0.0)
    written = events.EventFiles(tmp_path, {"stage1": 100})
    written.report("stage1", 1, 1, {"loss": 1.0})
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as caught:
        for step in range(2, 40):
            written.report("stage1", step, 1, {"loss": 1.0})
    folder = tmp_path / "tensorboard" / "stage1"
    assert error_text(caught.value) == f"{folder}: No space left on device"


def test_event_files_without_their_package_are_refused_before_training(monkeypatch):
    config = default_config()
    config.data.path, config.loop.tensorboard = "x", True
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxvsnerf\[tensorboard\]'"):
        check_run(config)
