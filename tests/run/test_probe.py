"""A run's folder is tried before training."""

import os
import stat
from types import SimpleNamespace

import imageio_ffmpeg
import numpy as np
import pytest

from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.data.video import read_frames
from jaxvsnerf.errors import InputError, MissingExtra, StorageError
from jaxvsnerf.pictures.video import write_mp4
from jaxvsnerf.run.page import FILES, REPORT
from jaxvsnerf.run.probe import FOLDERS, try_files, try_workdir
from jaxvsnerf.system.extras import check_extras
from jaxvsnerf.system.png import write_png
from jaxvsnerf.training.checkpoints import Checkpoints

# As ../faults/test_workdir.py, where whole runs go through some of them.
NAMES = (
    "v[1]",
    "a*b",
    "a?b",
    "a\\b",
    "12:30",
    "pipe:1",
    "-y",
    "50%",
    "ä ö",
    "写真",
    "a\nb",
    "é" * 100,
)


@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_pictures_and_videos_come_back_whatever_the_folders_name(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path.__class__(name)
    folder.mkdir()
    try_files(folder, ("n" * 225, "short"))
    assert not list(folder.iterdir()) and [one.name for one in tmp_path.iterdir()] == [name]


def test_a_video_is_written_and_read_where_ffmpeg_would_see_a_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("12:30/a.mp4", "2026-11-28T10:30/a.mp4", "-y/a.mp4", "pipe:1/a.mp4", "-y.mp4"):
        write_mp4(name, [np.full((16, 16, 3), 0.5, np.float32)] * 2)
        assert len(read_frames(name, 5)) == 2


def test_a_video_of_large_frames_is_refused_before_it_is_decoded(tmp_path):
    write_mp4(tmp_path / "a.mp4", [np.zeros((64, 64, 3), np.float32)])
    assert len(read_frames(tmp_path / "a.mp4", 2**16)) == 1
    with pytest.raises(InputError, match="a.mp4 cannot be decoded"):
        read_frames(tmp_path / "a.mp4", 2**17)  # at most 2048 pixels in each of so many frames


def dataset(*names):
    """What the probe looks at of a data set."""
    return SimpleNamespace(inputs=SimpleNamespace(names=names), truth=None)


def test_what_stands_where_a_run_writes_is_refused(tmp_path):
    given, config = dataset("a"), default_config()
    for name in FOLDERS:
        (tmp_path / name).touch()
        with pytest.raises(InputError, match=f"{name}, but there is a file; rename"):
            try_workdir(tmp_path, config, given, new=True)
        (tmp_path / name).unlink()
    for name in (*FILES, REPORT):
        (tmp_path / name).mkdir(parents=True)
        with pytest.raises(InputError, match=f"{name}, but there is a folder; rename"):
            try_workdir(tmp_path, config, given, new=False)
        (tmp_path / name).rmdir()


def test_names_that_no_page_can_hold_are_refused(tmp_path):
    config, odd = default_config(), os.fsdecode(b"caf\xe9")
    with pytest.raises(InputError, match="the name of a picture: expected a name in UTF-8"):
        try_workdir(tmp_path, config, dataset("a", odd), new=True)
    config.data.path = odd
    with pytest.raises(InputError, match="data.path: expected a name in UTF-8"):
        try_workdir(tmp_path, config, dataset("a"), new=True)


@pytest.mark.parametrize("broken", ["checkpoint", "picture", "video"])
def test_what_does_not_come_back_is_said_before_training(broken, tmp_path, monkeypatch):
    if broken == "checkpoint":
        monkeypatch.setattr(Checkpoints, "save", lambda *_: None)
    elif broken == "picture":
        monkeypatch.setattr(
            "jaxvsnerf.run.probe.write_png", lambda path, _: path.write_bytes(b"no picture")
        )
    else:
        program = tmp_path / "ffmpeg"
        program.write_text("#!/bin/sh\nexit 1\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(program))
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(StorageError, match="--workdir: files in .* cannot be written and read"):
        try_files(folder, ("a",))
    assert not list(folder.iterdir())


def test_an_ffmpeg_that_is_not_there_is_a_missing_package(monkeypatch):
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: "/nowhere/ffmpeg")
    with pytest.raises(MissingExtra, match="imageio_ffmpeg.*no program at /nowhere/ffmpeg"):
        check_extras(("imageio_ffmpeg",))


def test_the_longest_name_of_a_picture_is_written(tmp_path):
    write_png(tmp_path / f"{'n' * 251}.png", np.zeros((2, 2, 3), np.float32))
    assert len(list(tmp_path.iterdir())) == 1
