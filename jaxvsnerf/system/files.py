"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxvsnerf.errors import InputError, is_expected
from jaxvsnerf.system.durable import sync_file, sync_folder
from jaxvsnerf.system.temporary import temporary

# First characters of a cell that a spreadsheet may take for a formula or a command.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@contextmanager
def naming(path: str | Path, *aliases: str | Path) -> Iterator[None]:
    """Puts the name of a file into every OSError that leaves the block without one.

    The system names the file that it cannot open, and no file where a write fails, as on a full
    disk. An error that names no file would be taken for a bug.

    Args:
      path: the file that the block reads or writes, as the user knows it.
      *aliases: temporary files that stand for `path`; an error about one of them names `path`.
    """
    try:
        yield
    except OSError as error:
        if error.filename in map(str, aliases) or not is_expected(error):
            error.filename = str(path)
        raise


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` when the block ends well.

    Missing parent folders are made. If the block raises, an older file at `path` stays as
    it was and the temporary one is removed. A crash of the machine leaves the older file or the
    whole new one.

    Args:
      path: the file to write or replace.

    Yields:
      A path in the same folder with the same suffix, not existing yet.
    """
    path = Path(path)
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: encoders choose the format by it. The stem is left out, since a long
    # name would become too long.
    with naming(path, folder), temporary(folder, path.suffix) as made, naming(path, made):
        yield made
        sync_file(made)
        os.replace(made, path)
        sync_folder(folder)


def read_json(path: str | Path) -> Any:
    """What a JSON file of ours holds.

    Raises:
      InputError: the file is damaged.
      OSError: it cannot be read.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected JSON, the file is damaged ({error})") from error


def write_bytes(path: str | Path, data: bytes) -> None:
    """Writes `data` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` as UTF-8 with the line ends it has, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def text_cell(text: str) -> str:
    """Text for a cell of a CSV file.

    A spreadsheet runs a text that begins like a formula. Such a text gets a ' in front, which
    spreadsheets take as the sign of a text. Line breaks, which would begin a new row, become
    spaces.
    """
    line = " ".join(text.splitlines())
    return f"'{line}" if line.lstrip().startswith(FORMULA) else line


def check_room(folder: Path, size: int) -> None:
    """Raises OSError where `size` bytes cannot be written in `folder`."""
    with temporary(folder) as probe, naming(folder, probe), probe.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
        elif shutil.disk_usage(folder).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
