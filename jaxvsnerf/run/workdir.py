"""The folder of a run: its lock and its config."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout
from ml_collections import ConfigDict

from jaxvsnerf import __version__
from jaxvsnerf.config.files import completed, diff_plain, from_plain, to_plain
from jaxvsnerf.config.resolve import PATHS, resolve_config, with_paths
from jaxvsnerf.errors import DamagedFile, InputError, MissingFile
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.paths import check_unicode, user_path
from jaxvsnerf.system.records import COPY, Check, fields, named, read_record, text

CONFIG = "config.json"  # the settings as given
RESOLVED = "resolved.json"  # the settings without open values, and the version of jaxvsnerf
OLDER = "0.1.0"  # the last version without resolved.json


def open_workdir(path: str, flag: str = "--workdir") -> Path:
    """Returns the folder of a run; created if missing.

    Args:
      path: the folder.
      flag: the flag that names the folder, for messages.

    Raises:
      InputError: the path is empty, is not UTF-8, is a file, or is not writable.
    """
    if not path:
        raise InputError(f"{flag}: expected a folder for the files to write, got nothing")
    folder = user_path(path)
    check_unicode(str(folder.absolute()), flag)
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
    """Returns the folder of an existing run.

    Raises:
      InputError: the path is empty.
      MissingFile: the folder holds no run.
    """
    if not path:
        raise InputError("--workdir: expected the folder of a run, got nothing")
    folder = user_path(path)
    if not (folder / CONFIG).is_file():
        raise MissingFile(
            f"--workdir: expected the folder of a run, there is no config.json in {folder}; "
            "train there first"
        )
    return folder


@contextlib.contextmanager
def locked(folder: Path, flag: str = "--workdir") -> Iterator[None]:
    """Locks the folder for one process; the lock ends with the process, also after a crash.

    Args:
      folder: the folder.
      flag: the flag that names the folder, for messages.

    Raises:
      InputError: another process holds the lock.
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


def save_config(folder: Path, asked: ConfigDict, resolved: ConfigDict) -> None:
    """Writes config.json and resolved.json; of an existing run only the paths may change.

    Args:
      folder: folder of the run.
      asked: the config as the user gave it.
      resolved: the config without open values, see `resolve_config` and `resolve_views`.

    Raises:
      InputError: the existing run has another config; the message lists the differences.
    """
    kept = kept_config(folder, asked)
    if kept is not None and to_plain(kept) == to_plain(load_settings(folder)):
        return
    made = {"jaxvsnerf": __version__, "settings": to_plain(resolved)}
    # In this order, because a config.json without resolved.json means a run of an older version.
    write_text(folder / RESOLVED, json.dumps(made, indent=2) + "\n")
    write_text(folder / CONFIG, json.dumps(to_plain(asked), indent=2) + "\n")


def kept_config(folder: Path, asked: ConfigDict) -> ConfigDict | None:
    """Returns the resolved config of the existing run in a folder; None if no run has begun.

    The paths are those of `asked`: the files of a run may move.

    Args:
      folder: folder of the run.
      asked: the config to continue with.

    Raises:
      InputError: the run has another config, or an older version wrote the run.
    """
    if not (folder / CONFIG).is_file():
        return None
    if not (folder / RESOLVED).is_file():
        raise InputError(
            f"{folder} holds a run of jaxvsnerf {OLDER}, which this version shows and exports but "
            f"does not train: go on with jaxvsnerf {OLDER}, or take another --workdir"
        )
    kept = load_settings(folder)
    then = _without_paths(load_asked(folder))
    if changes := diff_plain(then, _without_paths(to_plain(asked))):
        _refuse(
            f"{folder} holds a run with another config (there -> now)",
            changes,
            "take another --workdir, or the settings of that run to go on with it",
        )
    return with_paths(kept, resolve_config(asked))


def load_settings(folder: Path) -> ConfigDict:
    """Loads the resolved config of a run.

    Raises:
      MissingFile: no run has begun in the folder.
      InputError: the file is damaged, or another version of jaxvsnerf wrote other settings.
    """
    path = folder / RESOLVED
    if path.is_file():
        made = read_record(path, fields({"jaxvsnerf": text, "settings": _SETTINGS}), COPY)
        return _settings(path, made["settings"], made["jaxvsnerf"])
    path = folder / CONFIG
    if not path.is_file():
        raise MissingFile(f"expected a run's settings at {path}: train there first")
    return _settings(path, read_record(path, _SETTINGS, COPY), OLDER)


def load_asked(folder: Path) -> dict[str, Any]:
    """The settings of a run as they were given, in their JSON form.

    Raises:
      InputError: the file is damaged, or another version of jaxvsnerf wrote other settings.
    """
    path = folder / CONFIG
    values = read_record(path, _SETTINGS, COPY)
    _settings(path, values)
    return completed(values)


def _any(value: Any, place: str) -> None:
    """Accepts everything: `from_plain` checks the settings."""


_SETTINGS: Check = named(_any)


def _settings(path: Path, values: dict[str, Any], version: str = "") -> ConfigDict:
    """The settings that a file holds, see `from_plain`, whose errors name the file here."""
    try:
        return from_plain(values, str(path), version)
    except InputError as error:
        if str(error).startswith(str(path)):
            raise
        raise DamagedFile(path, str(error), COPY) from error


def _without_paths(plain: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that name files."""
    return {
        section: {k: v for k, v in values.items() if (section, k) not in PATHS}
        if isinstance(values, dict)
        else values
        for section, values in plain.items()
    }


def _refuse(what: str, changes: str, advice: str) -> NoReturn:
    raise InputError(f"{what}:\n{changes}\n{advice}")


def keep_settings(path: Path, new: dict[str, Any], what: str, advice: str) -> None:
    """Writes settings as JSON, or checks that an existing file holds the same settings.

    Args:
      path: the file.
      new: nested dicts of JSON values.
      what: first line of the message if the settings differ.
      advice: last line of the message.

    Raises:
      InputError: the settings differ; the message lists the differences.
      DamagedFile: the file holds no settings.
    """
    if path.exists():
        kept = read_record(
            path, _SETTINGS, "copy it again, or delete it and give the command again"
        )
        if changes := diff_plain(kept, new):
            _refuse(what, changes, advice)
        return
    write_text(path, json.dumps(new, indent=2) + "\n")
