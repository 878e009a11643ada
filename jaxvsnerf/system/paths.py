"""Paths as users give them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from jaxvsnerf.errors import InputError, MissingFile

LONGEST_NAME = 255  # bytes of a file's name, the most that file systems take


def user_path(path: str | Path) -> Path:
    """The path with a leading `~` or `~user` expanded; every path that a user gives comes here.

    Raises:
      InputError: nobody knows the home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: expected a user with a home folder ({error})") from error


def new_files(path: str, suffix: str, count: int = 1) -> list[Path]:
    """The paths of the files that --out names; none of them exists.

    Args:
      path: the file, `~` allowed.
      suffix: the ending that the file must have, such as `.png`.
      count: number of files, see `numbered_paths`.

    Raises:
      InputError: another ending, or a file exists.
    """
    file = user_path(path)
    if file.suffix.lower() != suffix:
        raise InputError(f"--out: expected a file that ends in {suffix}, got {path!r}")
    files = numbered_paths(file, count)
    for one in files:
        if one.exists():
            raise InputError(f"--out: {one} exists already")
    return files


def numbered_paths(path: Path, count: int) -> list[Path]:
    """[path] for one file; <stem>_0.png, <stem>_1.png ... beside `path` for several."""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}_{index}{path.suffix}") for index in range(count)]


def file_name(name: str, suffix: str) -> str:
    """A name for a file, of at most 255 bytes in each part of the path.

    A longer part is cut and ends in `~` and a hash of the whole part, so that names stay apart.

    Args:
      name: the name without its ending; parts of a path are separated by `/`.
      suffix: the ending, such as `.png`.
    """
    *folders, last = name.split("/")
    parts = [_shortened(folder, LONGEST_NAME) for folder in folders]
    room = LONGEST_NAME - len(suffix.encode())
    return "/".join([*parts, _shortened(last, room) + suffix])


def _shortened(name: str, most: int) -> str:
    """A name of at most `most` bytes."""
    encoded = name.encode()
    if len(encoded) <= most:
        return name
    mark = f"~{hashlib.sha256(encoded).hexdigest()[:12]}"
    # A character that is cut in the middle is dropped.
    return encoded[: most - len(mark)].decode(errors="ignore") + mark


def check_unicode(text: str, what: str) -> None:
    """Refuses a name that is not the same bytes for Python as for other libraries.

    Without a UTF-8 locale, or for a name that is not UTF-8, Python keeps bytes that no page, table
    and checkpoint can be written under.

    Args:
      text: a path or the name of a file.
      what: the setting or file, for the message.

    Raises:
      InputError: the name cannot be written in UTF-8.
    """
    try:
        same = os.fsencode(text) == text.encode("utf-8")
    except UnicodeEncodeError:
        same = False
    if not same:
        raise InputError(
            f"{what}: expected a name in UTF-8, got {ascii(text)}; rename it, or set PYTHONUTF8=1 "
            "if the name is right and the locale is not UTF-8"
        )


def in_any_case(path: Path) -> Path | None:
    """The file of a path whose own name may be in other capitals; None for none or for several."""
    if path.is_file():
        return path
    try:
        there = [one for one in path.parent.iterdir() if one.name.lower() == path.name.lower()]
    except OSError:
        return None
    files = [one for one in there if one.is_file()]
    return files[0] if len(files) == 1 else None


def file_url(path: Path) -> str:
    """A path as ffmpeg takes it for a file, whatever the path's characters.

    ffmpeg takes a path like `12:30/a.mp4` or `pipe:1` for a protocol, and `-y` for an option.
    """
    return f"file:{path.absolute()}"


def find_path(path: str | Path) -> Path:
    """An existing path: `path` itself or, if that does not exist, `path` under JAXVSNERF_DATA.

    Raises:
      MissingFile: neither exists; names both.
      InputError: see `user_path`.
    """
    here = user_path(path)
    if here.exists():
        return here
    tried = [str(here.absolute())]
    root = os.environ.get("JAXVSNERF_DATA", "")
    if root and not here.is_absolute():
        there = user_path(root) / here
        if there.exists():
            return there
        tried.append(str(there))
    hint = "" if root else "; the environment variable JAXVSNERF_DATA, tried next, is not set"
    raise MissingFile(f"nothing at {' nor at '.join(tried)}{hint}")
