"""Paths as users give them."""

from __future__ import annotations

import os
from pathlib import Path

from jaxvsnerf.errors import MissingFile


def find_path(path: str) -> Path:
    """`path` as it stands or, if that does not exist, under JAXVSNERF_DATA.

    Raises:
      FileNotFoundError: neither exists; names both.
    """
    here = Path(path).expanduser()
    if here.exists():
        return here
    tried = [str(here.absolute())]
    root = os.environ.get("JAXVSNERF_DATA", "")
    if root and not here.is_absolute():
        there = Path(root) / here
        if there.exists():
            return there
        tried.append(str(there))
    hint = "" if root else "; the environment variable JAXVSNERF_DATA, tried next, is not set"
    raise MissingFile(f"nothing at {' nor at '.join(tried)}{hint}")
