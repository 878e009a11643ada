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


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Runs of a test session share compiled programs in a cache folder of their own."""
    home = {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", home["XDG_CACHE_HOME"])
        yield home


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory, cache):
    """One smoke run, all stages."""
    folder = tmp_path_factory.mktemp("runs") / "smoke"
    done = commands.run("train", *commands.train_arguments(folder), env=cache)
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    return folder
