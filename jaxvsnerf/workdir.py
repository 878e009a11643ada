"""The folder of a run: its lock, its config, its logs."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from ml_collections import ConfigDict

from jaxvsnerf.config import diff_plain, to_plain
from jaxvsnerf.files import write_text
from jaxvsnerf.training.processes import describe

LOG = "log.txt"


def open_workdir(path: str, flag: str = "--workdir") -> Path:
    """The folder, made where it is not there.

    Args:
      path: the folder.
      flag: what names it on the command line, for messages.

    Raises:
      ValueError: no name, a file stands there, or it cannot be written.
    """
    if not path:
        raise ValueError(f"{flag}: expected a folder for the files to write, got nothing")
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{flag}: expected a folder, {folder} is a file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(
            f"{flag}: expected a folder that can be written, {folder}: {error.strerror}"
        ) from error
    return folder


def open_run(path: str) -> Path:
    """The folder of a run that was trained.

    Raises:
      ValueError: no name, or no folder; FileNotFoundError: no run in it.
    """
    if not path:
        raise ValueError("--workdir: expected the folder of a run, got nothing")
    folder = Path(path)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
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
        raise ValueError(
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
            raise ValueError(f"{path}: expected JSON, {error}") from error
        if changes := diff_plain(old, new):
            raise ValueError(f"{what}:\n{changes}\n{advice}")
        return
    write_text(path, json.dumps(new, indent=2) + "\n")


@contextlib.contextmanager
def logged(folder: Path, say: Callable[..., None]) -> Iterator[Callable[..., None]]:
    """A `say` that also adds plain lines with the time to the folder's log.txt.

    What ends the block with an error is added too, and raised. Where the log cannot be
    written, as on a full disk, lines are only shown: checkpoints matter more.

    Args:
      folder: of the run.
      say: takes the lines to show, as `cli.say` does.
    """
    with (folder / LOG).open("ab", buffering=0) as file:

        def add(text: str) -> None:
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            lines = "".join(f"{now} {line}\n" for line in text.splitlines())
            with contextlib.suppress(OSError):
                file.write(lines.encode())

        def both(line: str, **how: Any) -> None:
            add(line)
            say(line, **how)

        try:
            yield both
        except BaseException as error:
            add(f"{type(error).__name__}: {describe(error)}")
            raise


class MetricsLog:
    """metrics.jsonl: one line per report, in the order of stages and steps."""

    def __init__(self, folder: Path, stage_names: tuple[str, ...]):
        self.path = folder / "metrics.jsonl"
        self.stage_names = stage_names

    def read(self) -> list[dict[str, Any]]:
        """All whole lines; a line cut by a crash is left out."""
        rows = []
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                with contextlib.suppress(json.JSONDecodeError):
                    row = json.loads(line)
                    rows += [row] if isinstance(row, dict) else []
        return rows

    def rewind(self, stage: str, step: int) -> None:
        """Drops what was logged after `step` of `stage`, so that a resumed run repeats it."""
        names = self.stage_names
        limit = (names.index(stage), step) if stage else (-1, 0)
        kept = [r for r in self.read() if (names.index(r["stage"]), r["step"]) <= limit]
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in kept))

    def append(self, row: dict[str, Any]) -> None:
        """Adds one line."""
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
