"""A config as JSON: written, read, compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.errors import InputError, MissingFile


def to_plain(config: ConfigDict) -> dict[str, Any]:
    """The config as JSON holds it: dicts, lists, numbers, strings."""
    return json.loads(config.to_json())


def from_plain(values: dict[str, Any]) -> ConfigDict:
    """A config from its JSON form; lists become the tuples that the defaults have.

    Raises:
      ValueError: a field that does not exist, or one that is missing.
    """
    config = default_config()
    ours, theirs = (_names(plain) for plain in (to_plain(config), values))
    if ours != theirs:
        lines = [f"  it lacks {name}" for name in sorted(ours - theirs)]
        lines += [f"  {name} is unknown" for name in sorted(theirs - ours)]
        raise InputError(
            "config.json was written by another version of jaxvsnerf, which opens this run:\n"
            + "\n".join(lines)
        )

    def tuples(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: tuples(inner) for name, inner in value.items()}
        return tuple(tuples(inner) for inner in value) if isinstance(value, list) else value

    config.update(tuples(values))
    return config


def load_config(path: Path) -> ConfigDict:
    """The config a run was started with.

    Raises:
      FileNotFoundError: there is none; ValueError: it cannot be read.
    """
    if not path.is_file():
        raise MissingFile(f"expected a run's config at {path}: train there first")
    try:
        values = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected JSON, {error}") from error
    return from_plain(values)


def diff_plain(old: Any, new: Any, name: str = "") -> str:
    """One line per setting that differs, 'name: old -> new'; '' where none does."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines = [
            diff_plain(
                old.get(key, "(absent)"), new.get(key, "(absent)"), f"{name}.{key}".strip(".")
            )
            for key in sorted({*old, *new})
        ]
        return "\n".join(line for line in lines if line)
    return "" if old == new else f"  {name}: {json.dumps(old)} -> {json.dumps(new)}"


def _names(values: dict[str, Any], section: str = "") -> set[str]:
    """The full names of all values."""
    names = set()
    for key, value in values.items():
        inner = isinstance(value, dict)
        names |= _names(value, f"{section}{key}.") if inner else {section + key}
    return names
