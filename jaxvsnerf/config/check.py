"""The check of all settings, before anything is read or written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from jaxvsnerf.config import resolve
from jaxvsnerf.config.sections import SECTIONS
from jaxvsnerf.errors import InputError
from jaxvsnerf.system.settings import check_values

# Stands for the number of views until pictures are read: rules between settings do not depend on
# the number, and `stage_specs` checks the stages against the true number.
SOME_VIEWS = 16


def check_config(config: ConfigDict) -> None:
    """Refuses a config with a value of a wrong type or out of range, or with a contradiction.

    Raises:
      InputError: names the setting, what is expected, and the value.
    """
    check_sections(config)
    config = config.copy_and_resolve_references()
    config.field.dtype = config.field.sdf.products = "float32"  # `auto` would wake a device
    resolve.data_spec(config)
    resolve.field_spec(config, SOME_VIEWS)
    resolve.stage_specs(config, SOME_VIEWS)
    _check_ends(config)


def _check_ends(config: ConfigDict) -> None:
    """Refuses settings of one decoder beside the other decoder."""
    for name in ("eikonal", "bend"):
        if config.loss.terms[name] and config.field.decoder != "sdf":
            raise InputError(
                f"loss.terms.{name}: a signed distance has this term; set field.decoder to sdf, or "
                f"the weight to 0"
            )
    if config.sampling.kind == "neus" and config.field.decoder != "sdf":
        raise InputError(
            "sampling.kind: neus reads a signed distance; set field.decoder to sdf, or the kind to "
            "hierarchical"
        )
    if config.mesh.level and config.field.decoder == "sdf":
        raise InputError(
            f"mesh.level: the surface of a signed distance lies at distance 0; expected 0 with "
            f"field.decoder sdf, got {config.mesh.level:g}"
        )


def check_data(config: ConfigDict) -> None:
    """Refuses what `check_config` does, in the data section alone.

    Raises:
      InputError: names the setting, what is expected, and the value.
    """
    check_sections(config, ("data",))
    resolve.data_spec(config)


def check_sections(values: Mapping[str, Any], names: tuple[str, ...] = tuple(SECTIONS)) -> None:
    """Refuses sections with a value of a wrong type or out of range.

    Args:
      values: a config, or the nested dicts of one.
      names: the sections to check.

    Raises:
      InputError: names the setting, what is expected, and the value.
    """
    for name in names:
        section = values
        for part in filter(None, name.split(".")):
            section = section[part]
        for spec in SECTIONS[name].specs:
            check_values(spec, section, name)
