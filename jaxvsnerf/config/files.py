"""A config as JSON: made, read back, compared."""

from __future__ import annotations

import copy
import json
from typing import Any

from ml_collections import ConfigDict

from jaxvsnerf import __version__
from jaxvsnerf.config.check import check_sections
from jaxvsnerf.config.defaults import spec_defaults
from jaxvsnerf.config.sections import SECTIONS
from jaxvsnerf.errors import InputError
from jaxvsnerf.system.records import COPY

NAMED = 6  # most settings in a message


def to_plain(config: ConfigDict) -> dict[str, Any]:
    """The config as JSON holds it: dicts, lists, numbers, strings."""
    return json.loads(config.to_json())


def from_plain(values: dict[str, Any], source: str = "config", version: str = "") -> ConfigDict:
    """A config from its JSON form; lists become the tuples that the defaults have.

    Args:
      values: nested dicts.
      source: where the values come from, for messages.
      version: the version of jaxvsnerf that wrote them; '' is this one.

    Raises:
      InputError: a setting is unknown, missing, of a wrong type or out of range.
    """
    config, values = spec_defaults(), completed(values)
    ours, theirs = (_names(plain) for plain in (to_plain(config), values))
    if ours != theirs:
        parts = [f"no {name}" for name in sorted(ours - theirs)]
        parts += [f"an unknown {name}" for name in sorted(theirs - ours)]
        more = f" and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
        advice = f"open the run with jaxvsnerf {version}, which wrote it"
        if version in ("", __version__):
            advice = f"jaxvsnerf {__version__} wrote other ones, the file was changed; {COPY}"
        raise InputError(
            f"{source} has other settings than jaxvsnerf {__version__} knows "
            f"({', '.join(parts[:NAMED])}{more}); {advice}"
        )
    values = _tuples(values)
    check_sections(values)
    config.update(values)
    return config


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run, with what its version did in place of settings that it lacked."""
    values = copy.deepcopy(values)
    for name, section in SECTIONS.items():
        place = _place(values, name)
        if place is None:
            continue
        is_new = section.later and not place
        for key, one in section.settings.items():
            if one.setting.was:
                old, _, old_key = one.setting.was.rpartition(".")
                there = _place(values, old) or {}
                if old_key in there:
                    place.setdefault(key, there.pop(old_key))
            elif one.setting.before or is_new:
                place.setdefault(key, (*one.setting.before, one.default)[0])
    return values


def _place(values: Any, section: str) -> dict[str, Any] | None:
    """The dict of a section, made if missing; None if something else is in its place."""
    for part in filter(None, section.split(".")):
        if not isinstance(values, dict):
            return None
        values = values.setdefault(part, {})
    return values if isinstance(values, dict) else None


def _tuples(value: Any) -> Any:
    """The value with tuples in place of lists."""
    if isinstance(value, dict):
        return {name: _tuples(inner) for name, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


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
