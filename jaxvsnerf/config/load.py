"""Config files: Python files with a function `get_config`."""

from __future__ import annotations

import contextlib
import importlib.util
from pathlib import Path

from ml_collections import ConfigDict
from PIL import ImageColor

from jaxvsnerf.errors import InputError
from jaxvsnerf.system.stand_ins import check_is_itself


def read_config(path: Path) -> ConfigDict:
    """The settings of a config file, locked: only settings that exist can be changed.

    Raises:
      InputError: the file is no config file.
    """
    check_is_itself(path)
    spec = importlib.util.spec_from_file_location("jaxvsnerf_config", path)
    if spec is None or spec.loader is None:
        raise InputError(f"expected a Python file, got {path}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise InputError(f"{path}, line {error.lineno}: {error.msg}") from error
    if not hasattr(module, "get_config"):
        raise InputError(f"{path}: expected a function get_config() in it, there is none")
    return module.get_config().lock()


def with_colors(config: ConfigDict) -> ConfigDict:
    """The config with numbers in place of the name of its background, such as `white` or `#fff`.

    A word that names no colour stays, and the check of the settings refuses it.
    """
    given = config.data.background
    if len(given) == 1 and isinstance(given[0], str):
        with contextlib.suppress(ValueError):
            numbers = ImageColor.getrgb(given[0].strip())
            config.data.background = tuple(number / 255 for number in numbers[:3])
    return config
