"""Paths as users give them."""

from __future__ import annotations

import os
from pathlib import Path

from jaxvsnerf.errors import InputError, MissingFile


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
