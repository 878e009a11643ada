"""Data, compiled programs and the smoke run, which all test files share."""

import os
from pathlib import Path

import jax
import pytest
from filelock import FileLock
from jax.experimental.compilation_cache import compilation_cache

from tests import commands

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data; the test is skipped where it is absent."""
    folder = os.environ.get("JAXVSNERF_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("JAXVSNERF_DATA names no folder: real data is absent")
    return Path(folder)


@pytest.fixture(scope="session")
def shared_folder(request, tmp_path_factory) -> Path:
    """A folder of this session that all its workers share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(request.config, "workerinput") else own


@pytest.fixture(scope="session", autouse=True)
def cache(shared_folder):
    """Tests, workers and the commands that tests run share one cache of compiled programs.

    Choice: JAX's cache without a bound on its size. With a bound JAX takes a lock and lists
    the folder for every program that it adds. Without, a program that another process is
    writing at that moment is compiled anew, with a warning.
    """
    settings = {"JAX_COMPILATION_CACHE_DIR": str(shared_folder / "programs")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        jax.config.update("jax_compilation_cache_dir", settings["JAX_COMPILATION_CACHE_DIR"])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        compilation_cache.reset_cache()  # Collecting the tests has compiled programs already.
        yield settings


@pytest.fixture(scope="module", autouse=True)
def compiler(request, cache):
    """Programs of a file marked `unoptimized` compile quickly and run slowly.

    Programs of the file before are dropped from memory, where they would take gigabytes.
    """
    unoptimized = request.node.get_closest_marker("unoptimized") is not None
    jax.config.update("jax_disable_most_optimizations", unoptimized)
    jax.clear_caches()


@pytest.fixture(scope="session")
def run_folder(shared_folder, cache):
    """One smoke run of all stages, for all workers: to be read, and copied by those who write."""
    folder = shared_folder / "smoke"
    said = folder / "stdout.txt"
    with FileLock(shared_folder / "smoke.lock"):
        if not said.exists():
            done = commands.run("train", *commands.train_arguments(folder))
            assert done.returncode == 0, done.stderr
            said.write_text(done.stdout)
    return folder
