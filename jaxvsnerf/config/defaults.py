"""The configs that others start from: the defaults of all specs, and the recommended recipe."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from jaxvsnerf.config.load import read_config
from jaxvsnerf.config.names import find_config
from jaxvsnerf.config.sections import SECTIONS


def spec_defaults() -> ConfigDict:
    """Every setting at the default of its spec, as a locked config; no stage has steps."""
    values: dict[str, Any] = {}
    for name, section in SECTIONS.items():
        place = values
        for part in filter(None, name.split(".")):
            place = place.setdefault(part, {})
        for key, one in section.settings.items():
            # Only numbers are None; a placeholder keeps their type.
            place[key] = placeholder(float) if one.default is None else one.default
    return ConfigDict(values).lock()


def default_config() -> ConfigDict:
    """Every setting at its recommended value: the config `syncdreamer`, locked.

    A config file starts from this config and changes what it needs. docs/settings.md lists all
    settings.
    """
    return read_config(find_config("syncdreamer"))
