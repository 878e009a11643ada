"""The compilation cache: on by itself, in a folder of the user's own, and never in the way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxvsnerf.system import compilation
from jaxvsnerf.system.compilation import cache_home, private_folder
from tests import commands

SCRIPT = """
import os, jax
from jaxvsnerf.system.compilation import configure
configure(os.environ)
config = jax.config
print(config.jax_compilation_cache_dir, config.jax_compilation_cache_max_size)
print(config.jax_persistent_cache_min_compile_time_secs)
"""


def settings(then="", **environment):
    """What JAX is told in such an environment, and the warnings; `then` runs after that."""
    clean = {k: v for k, v in commands.environment().items() if not k.startswith("JAX_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + then],
        capture_output=True,
        text=True,
        env={**clean, "JAX_PLATFORMS": "cpu", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def mode(path):
    return path.stat().st_mode & 0o777


def test_programs_are_left_in_the_users_cache_folder(tmp_path):
    settings("jax.jit(lambda x: x + 1)(1.0)", XDG_CACHE_HOME=str(tmp_path))
    folder = tmp_path / "jaxvsnerf" / "xla"
    assert list(folder.glob("*-cache"))
    assert mode(folder) == mode(folder.parent) == 0o700


def test_the_cache_is_bounded_and_the_users_bounds_come_first(tmp_path):
    (folder, size, seconds), warned = settings(XDG_CACHE_HOME=str(tmp_path))
    assert folder == str(tmp_path / "jaxvsnerf" / "xla") and not warned
    assert int(size) == 2**31 and float(seconds) == 0.0
    (_, size, _), _ = settings(
        XDG_CACHE_HOME=str(tmp_path), JAX_COMPILATION_CACHE_MAX_SIZE=str(10**6)
    )
    assert int(size) == 10**6


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"JAX_COMPILATION_CACHE_DIR": "mine"}, ["mine", "-1", "0.0"]),
        ({"JAX_ENABLE_COMPILATION_CACHE": "false"}, ["None", "-1", "1.0"]),
    ],
)
def test_jaxs_own_settings_come_first(given, expected, tmp_path):
    found, _ = settings(XDG_CACHE_HOME=str(tmp_path), **given)
    assert found == expected
    assert not list(tmp_path.iterdir())


def test_a_home_that_cannot_be_written_costs_one_warning(tmp_path):
    file = tmp_path / "file"
    file.touch()
    (folder, *_), warned = settings(XDG_CACHE_HOME=str(file))
    assert folder == "None"
    assert len(warned.splitlines()) == 1 and "compiled anew" in warned and str(file) in warned


def test_a_folder_that_others_may_write_is_not_used(tmp_path, monkeypatch):
    assert private_folder(tmp_path, "a", "b") == tmp_path / "a" / "b"
    for bits in (0o770, 0o707):
        (tmp_path / "a").chmod(bits)
        with pytest.raises(PermissionError, match="written by you alone"):
            private_folder(tmp_path, "a", "b")
    (tmp_path / "a").chmod(0o755)
    private_folder(tmp_path, "a", "b")
    own = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: own + 1)
    with pytest.raises(PermissionError, match=f"to be yours, it is user {own}'s"):
        private_folder(tmp_path, "a", "b")


def test_a_folder_that_others_can_replace_is_not_used(tmp_path, monkeypatch):
    shared, base = tmp_path / "shared", tmp_path / "shared" / "home" / "cache"
    shared.mkdir()
    shared.chmod(0o777)
    for given in (base, tmp_path / "link" / "cache"):
        (tmp_path / "link").exists() or (tmp_path / "link").symlink_to(shared / "home")
        with pytest.raises(PermissionError, match=f"everybody may write in {shared};.*chmod o-w"):
            private_folder(given, "a")
    shared.chmod(0o1777)  # as /tmp: others cannot rename what is not theirs
    assert private_folder(base, "a") == base / "a"
    own = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: own + 1)
    if own:  # what root owns is safe from everybody else
        with pytest.raises(PermissionError, match=f"home to be yours, it is user {own}'s"):
            private_folder(base, "a")


def test_the_cache_folder_is_xdgs_or_in_the_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_home({"XDG_CACHE_HOME": "/scratch"}) == Path("/scratch")
    # The specification has relative paths ignored.
    for given in ({}, {"XDG_CACHE_HOME": "relative"}):
        assert cache_home(given) == Path("/home/someone/.cache")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(FileNotFoundError, match="expected a home"):
        cache_home({})


def test_xla_is_told_how_to_compile_only_where_there_is_a_gpu_to_compile_for(monkeypatch):
    def flags_after(given, plugins):
        monkeypatch.setattr(compilation, "use_cache", lambda environment: None)
        monkeypatch.setattr(
            compilation.importlib.util, "find_spec", lambda name: name in plugins or None
        )
        environment = dict(given)
        compilation.configure(environment)
        return environment.get("XLA_FLAGS")

    gpu = ("jax_cuda13_plugin",)
    triton, graphs = (
        "--xla_gpu_enable_triton_gemm=false",
        f"--xla_gpu_enable_command_buffer={','.join(compilation.GRAPH_PARTS)}",
    )
    assert flags_after({}, ()) is None
    assert flags_after({}, gpu) == f"{triton} {graphs}"
    assert flags_after({"XLA_FLAGS": "--xla_a=1"}, gpu) == f"--xla_a=1 {triton} {graphs}"
    mine = "--xla_gpu_enable_triton_gemm=true"
    assert flags_after({"XLA_FLAGS": mine}, gpu) == f"{mine} {graphs}"
    monkeypatch.setattr(compilation.jax, "__version_info__", (0, 99, 0))
    assert flags_after({}, gpu) is None


def test_a_gpus_memory_is_taken_as_needed_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setattr(compilation, "use_cache", lambda environment: None)
    for given, expected in (({}, "false"), ({compilation.PREALLOCATE: "true"}, "true")):
        compilation.configure(given)
        assert given[compilation.PREALLOCATE] == expected


def test_this_version_of_xla_knows_the_flags():
    flags = " ".join(f"--{name}={value}" for name, value in compilation.GPU_FLAGS.items())
    done = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices()"],
        env={**commands.environment(), "XLA_FLAGS": flags},
    )
    assert done.returncode == 0
