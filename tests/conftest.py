"""What several test files share."""

import os
from pathlib import Path

import pytest

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
def cache(tmp_path_factory):
    """Runs of a test session share compiled programs, as a user's second run would."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
    }


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory, cache):
    """One smoke run, all stages."""
    folder = tmp_path_factory.mktemp("runs") / "smoke"
    done = commands.run("train", *commands.train_arguments(folder), env=cache)
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    return folder
