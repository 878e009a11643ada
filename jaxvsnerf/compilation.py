"""JAX's persistent compilation cache, in the user's cache folder: a second run compiles little."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import jax
from absl import logging

# Bounds of the cache, unless the user's environment sets them: the least recently used
# program goes first, and what compiles in less time is not kept.
DEFAULTS = {
    "jax_compilation_cache_max_size": 2 * 2**30,
    "jax_persistent_cache_min_compile_time_secs": 0.1,
}


def use_cache(environment: Mapping[str, str]) -> None:
    """Switches the cache on for this process; where it cannot be, says why and goes on.

    JAX's own settings come first: a folder that the user chose is used as it is, and
    JAX_ENABLE_COMPILATION_CACHE=false means none. Machines with different CPUs may share a
    home: the key of a program holds the features of the CPU it was compiled for.
    """
    if jax.config.jax_compilation_cache_dir or not jax.config.jax_enable_compilation_cache:
        return
    try:
        folder = private_folder(cache_home(environment), "jaxvsnerf", "xla")
    except OSError as error:
        logging.warning("programs are compiled anew in every run: %s", error)
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    for name, value in DEFAULTS.items():
        if name.upper() not in environment:
            jax.config.update(name, value)


def cache_home(environment: Mapping[str, str]) -> Path:
    """$XDG_CACHE_HOME where that is an absolute path, else ~/.cache.

    Raises:
      FileNotFoundError: there is no home either.
    """
    given = Path(environment.get("XDG_CACHE_HOME", ""))
    home = Path(os.path.expanduser("~"))
    if not given.is_absolute() and not home.is_absolute():
        raise FileNotFoundError("expected a home folder, or XDG_CACHE_HOME; got none")
    return given if given.is_absolute() else home / ".cache"


def private_folder(base: Path, *names: str) -> Path:
    """The folder base/names[0]/names[1]/..., made where it is not there, for this user alone.

    Raises:
      PermissionError: one of them is another user's, or others may write there: compiled
        programs are executed.
      OSError: it cannot be made or written.
    """
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = base
    for name in names:
        folder = folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.stat()
        if hasattr(os, "getuid") and found.st_uid != os.getuid():
            raise PermissionError(f"expected {folder} to be yours, it is user {found.st_uid}'s")
        if os.name == "posix" and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(
                f"expected {folder} to be written by you alone, others may; chmod go-w mends it"
            )
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"expected a folder that can be written, {folder} cannot")
    return folder
