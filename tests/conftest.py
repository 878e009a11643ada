"""What several test files share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data; the test is skipped where it is absent."""
    folder = os.environ.get("JAXVSNERF_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("JAXVSNERF_DATA names no folder: real data is absent")
    return Path(folder)
