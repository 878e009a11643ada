"""Data, compiled programs and the smoke run, which all test files share."""

import os
from pathlib import Path

import jax
import pytest
from filelock import FileLock
from jax.experimental.compilation_cache import compilation_cache

from jaxvsnerf.system.measure import peak_memory
from tests import commands

ROOT = Path(__file__).parents[1]
# Programs of tests run for a moment: they compile in half the time without XLA's younger code
# generator for CPUs and without most of LLVM's passes, and run nearly as fast. XLA ends a process
# that gives an unknown flag: only versions of JAX that were tried get flags. Flags of who runs
# the tests come first, in XLA_FLAGS.
FLAGS = {
    "xla_cpu_use_fusion_emitters": "false",
    "xla_backend_optimization_level": "1",
    "xla_llvm_disable_expensive_passes": "true",
}
if jax.__version_info__ < (0, 11):
    given = os.environ.get("XLA_FLAGS", "")
    chosen = [f"--{name}={value}" for name, value in FLAGS.items() if name not in given]
    os.environ["XLA_FLAGS"] = " ".join([given, *chosen]).strip()

QUICK = "jax_disable_most_optimizations"
# Bytes of a worker's memory after which the programs of earlier files are dropped.
MAX_MEMORY = 3 * 2**30


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

    Files share programs, until the other kind is asked for or programs take too much memory.
    """
    quick = request.node.get_closest_marker("unoptimized") is not None
    if quick != jax.config.read(QUICK) or peak_memory(()).bytes > MAX_MEMORY:
        jax.clear_caches()
    jax.config.update(QUICK, quick)


@pytest.fixture(scope="session")
def shared_run(shared_folder, cache):
    """Runs a command once for all workers; its folder is to be read, and copied by who writes.

    The function takes a name of the folder, and what turns the folder into a command's name and
    arguments. The folder's stdout.txt holds what the command printed.
    """

    def once(name, call) -> Path:
        folder = shared_folder / name
        said = folder / "stdout.txt"
        with FileLock(shared_folder / f"{name}.lock"):
            if not said.exists():
                done = commands.run(*call(folder))
                assert done.returncode == 0, done.stderr
                said.write_text(done.stdout)
        return folder

    return once


@pytest.fixture(scope="session")
def run_folder(shared_run):
    """One smoke run of all stages."""
    return shared_run("smoke", lambda folder: ("train", *commands.train_arguments(folder)))
