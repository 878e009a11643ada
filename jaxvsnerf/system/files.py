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

from jaxvsnerf.errors import DamagedFile, is_expected
from jaxvsnerf.system.durable import sync_file, sync_folder
from jaxvsnerf.system.stand_ins import check_is_itself
from jaxvsnerf.system.temporary import temporary

# First characters of a cell that a spreadsheet may take for a formula or a command.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")

# Far beyond any JSON file of ours, in bytes and in levels.
LARGEST_JSON, DEEPEST_JSON = 2**27, 24


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


def read_json(path: str | Path, mend: str) -> Any:
    """What a JSON file of ours holds; `system.records` checks it too.

    Args:
      path: the file.
      mend: what to do about a damaged file, for the message.

    Raises:
      DamagedFile: the file is no JSON, holds NaN or infinity, or is larger or deeper than ours.
      OSError: it cannot be read.
    """
    path = Path(path)
    check_is_itself(path)
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"more than {LARGEST_JSON} bytes")
        value = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
        if not _is_shallow(value, DEEPEST_JSON):
            raise ValueError(f"nested more than {DEEPEST_JSON} deep")
    except (ValueError, RecursionError) as error:
        fault = "expected JSON, the file is damaged"
        raise DamagedFile(path, f"{fault} ({'; '.join(str(error).splitlines())})", mend) from error
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"a number is {name}")


def _is_shallow(value: Any, levels: int) -> bool:
    """Whether a value of JSON is nested at most `levels` deep."""
    inner = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (dict, list)):
        return True
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in inner)


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
