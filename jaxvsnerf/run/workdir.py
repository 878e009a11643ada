"""The folder of a run: its lock and its config."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from ml_collections import ConfigDict

from jaxvsnerf.config.files import diff_plain, to_plain
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.system.files import write_text


def open_workdir(path: str, flag: str = "--workdir") -> Path:
    """The folder, made where it is not there.

    Args:
      path: the folder.
      flag: what names it on the command line, for messages.

    Raises:
      ValueError: no name, a file stands there, or it cannot be written.
    """
    if not path:
        raise InputError(f"{flag}: expected a folder for the files to write, got nothing")
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{flag}: expected a folder, {folder} is a file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{flag}: expected a folder that can be written, {folder}: {error.strerror}"
        ) from error
    return folder


def open_run(path: str) -> Path:
    """The folder of a run that was trained.

    Raises:
      ValueError: no name, or no folder; FileNotFoundError: no run in it.
    """
    if not path:
        raise InputError("--workdir: expected the folder of a run, got nothing")
    folder = Path(path)
    if not (folder / "config.json").is_file():
        raise MissingFile(
            f"--workdir: expected the folder of a run, there is no config.json in {folder}; "
            "train there first"
        )
    return folder


@contextlib.contextmanager
def locked(folder: Path, flag: str = "--workdir") -> Iterator[None]:
    """Holds the folder for one process; the lock goes with the process, however it ends.

    Args:
      folder: the folder.
      flag: what names it on the command line, for messages.

    Raises:
      ValueError: another process holds it.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"{flag}: another process is at work in {folder}; wait for it or take another folder"
        ) from None
    try:
        yield
    finally:
        lock.release()


def save_config(folder: Path, config: ConfigDict) -> None:
    """Writes config.json, or checks that the run there has the same one.

    Raises:
      ValueError: with the differences.
    """
    keep_settings(
        folder / "config.json",
        to_plain(config),
        f"{folder} holds a run with another config (there -> now)",
        "take another --workdir, or the settings of that run to go on with it",
    )


def keep_settings(path: Path, new: dict[str, Any], what: str, advice: str) -> None:
    """Writes settings as JSON, or checks that the file there holds the same ones.

    Args:
      path: the file.
      new: nested dicts, as JSON holds them.
      what: first line of the message where they differ.
      advice: its last line.

    Raises:
      ValueError: with the differences.
    """
    if path.exists():
        try:
            old = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: expected JSON, {error}") from error
        if changes := diff_plain(old, new):
            raise InputError(f"{what}:\n{changes}\n{advice}")
        return
    write_text(path, json.dumps(new, indent=2) + "\n")
