"""Config files: Python files with a function `get_config`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ml_collections import ConfigDict

from jaxvsnerf.errors import InputError


def read_config(path: Path) -> ConfigDict:
    """The settings of a config file, locked: only settings that exist can be changed.

    Raises:
      InputError: the file is no config file.
    """
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
