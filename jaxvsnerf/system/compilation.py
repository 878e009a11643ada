"""How a command's programs are compiled: once, and on a GPU quickly."""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import jax
from absl import logging

# The cache's size, in which the least recently used program goes first.
MAX_BYTES = 2 * 2**30
# How long a thread waits for one that holds Python. With the usual 5 ms, training beside a
# thread that traces what comes next took twice its time, in waits between two dispatches.
SWITCH_SECONDS = 5e-4
# JAX takes three quarters of a GPU's memory at once, which takes 0.3 to 0.9 s of every
# command and keeps others off it. Steps are as fast where it grows as needed.
PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"
# XLA's default, with loops and branches.
GRAPH_PARTS = (
    *("FUSION", "CUBLAS", "CUBLASLT", "CUSTOM_CALL", "CUDNN", "DYNAMIC_SLICE_FUSION"),
    *("WHILE", "CONDITIONAL"),
)
# What XLA is told on a GPU, by the name that a user's own choice of it would hold.
GPU_FLAGS = {
    # XLA tries dozens of Triton kernels for every matrix product, which takes longer than all
    # of training. cuBLAS alone compiles in half the time, and its products add a layer's bias
    # and cut at zero by themselves.
    "xla_gpu_enable_triton_gemm": "false",
    # A step is some 250 short kernels: whole loops of steps run as CUDA graphs, which takes
    # 8 % off a step of the MLP and 28 % off a small one of the hash grid. Two threads must not
    # use one program: updating its graph then failed once in some fifty runs.
    "xla_gpu_enable_command_buffer": ",".join(GRAPH_PARTS),
}
GPU_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")
# A flag that XLA does not know ends the process: only versions tried get them.
TRIED_BEFORE = (0, 13)


def configure(environment: MutableMapping[str, str]) -> None:
    """Settles how this process compiles; before anything asks for a device.

    Args:
      environment: of the process. What the user chose there comes first; XLA_FLAGS grows by
        what is chosen here.
    """
    given = environment.get("XLA_FLAGS", "")
    gpu = any(importlib.util.find_spec(name) for name in GPU_PLUGINS)
    if gpu and jax.__version_info__ < TRIED_BEFORE:
        chosen = [f"--{name}={value}" for name, value in GPU_FLAGS.items() if name not in given]
        environment["XLA_FLAGS"] = " ".join([given, *chosen]).strip()
    environment.setdefault(PREALLOCATE, "false")
    # Arrays have the types that the code states: 32 bits, whatever JAX_ENABLE_X64 says.
    jax.config.update("jax_enable_x64", False)
    use_cache(environment)
    sys.setswitchinterval(SWITCH_SECONDS)


def use_cache(environment: Mapping[str, str]) -> None:
    """Switches on JAX's persistent cache; where it cannot be, says why and goes on.

    JAX's own settings come first: a folder that the user chose is used and not bounded, and
    JAX_ENABLE_COMPILATION_CACHE=false means none. Machines with different CPUs may share a
    home: the key of a program holds the features of the CPU it was compiled for.
    """
    settings: dict[str, float] = {}
    if not jax.config.jax_enable_compilation_cache:
        return
    chosen = jax.config.jax_compilation_cache_dir or ""
    if "://" not in chosen and os.path.exists(chosen) and not os.path.isdir(chosen):
        logging.warning(
            "programs are compiled anew in every run: expected a folder, got the file %s "
            "(JAX_COMPILATION_CACHE_DIR)",
            chosen,
        )
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if not jax.config.jax_compilation_cache_dir:
        try:
            folder = private_folder(cache_home(environment), "jaxvsnerf", "xla")
        except OSError as error:
            logging.warning("programs are compiled anew in every run: %s", error)
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
        settings["jax_compilation_cache_max_size"] = MAX_BYTES
    # A hundred small programs take seconds together.
    settings["jax_persistent_cache_min_compile_time_secs"] = 0.0
    for name, value in settings.items():
        if name.upper() not in environment:
            jax.config.update(name, value)


def cache_home(environment: Mapping[str, str]) -> Path:
    """$XDG_CACHE_HOME where that is an absolute path, else ~/.cache.

    Raises:
      FileNotFoundError: there is no home either.
    """
    given = Path(os.path.expanduser(environment.get("XDG_CACHE_HOME", "")))
    home = Path(os.path.expanduser("~"))
    if not given.is_absolute() and not home.is_absolute():
        raise FileNotFoundError("expected a home folder, or XDG_CACHE_HOME; got none")
    return given if given.is_absolute() else home / ".cache"


def private_folder(base: Path, *names: str) -> Path:
    """The folder base/names[0]/names[1]/..., created if missing, for this user alone.

    Raises:
      PermissionError: one of these folders is another user's or others may write there, or
        others may replace `base` or a folder above: compiled programs are executed.
      OSError: the folder cannot be created or written.
    """
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "posix":
        # Both: a link on the way may be replaced, and so may the folders that it leads to.
        _check_above(base.absolute())
        _check_above(base.resolve())
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


def _check_above(base: Path) -> None:
    """Refuses a folder that others can replace.

    Who may write in a folder may rename what lies in that folder. The sticky bit, as /tmp has,
    keeps that to the owner of what lies there.
    """
    for folder in (*reversed(base.parents), base):
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise PermissionError(
                f"expected {base} to be out of others' reach, everybody may write in {folder}; "
                f"chmod o-w {folder} mends it, or XDG_CACHE_HOME names another folder"
            )
        owner = folder.lstat().st_uid
        if folder.parent.stat().st_mode & stat.S_IWOTH and owner not in (0, os.getuid()):
            raise PermissionError(
                f"expected {folder} to be yours, it is user {owner}'s; XDG_CACHE_HOME names "
                "another folder"
            )
