"""What the wheel and the sdist hold, and that the wheel works in an empty folder."""

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import jaxvsnerf
from tests import commands

BUILD = """
import setuptools.build_meta as backend
backend.build_wheel("dist")
backend.build_sdist("dist")
"""
SOURCES = ("jaxvsnerf", "configs", "tests", "setup.py", "pyproject.toml", "README.md", "LICENSE")
CONFIGS = {"hash", "neus", "paper", "quickstart", "smoke", "surface", "syncdreamer"}


def files_of(folder, *suffixes):
    """The files below a folder of the repository, as paths in the repository."""
    found = (path for path in (commands.ROOT / folder).rglob("*") if path.suffix in suffixes)
    return {path.relative_to(commands.ROOT).as_posix() for path in found}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the wheel and the sdist; built from a copy, since building leaves files."""
    copy = tmp_path_factory.mktemp("copy")
    for name in SOURCES:
        source = commands.ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    done = subprocess.run(
        [sys.executable, "-c", BUILD], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return copy / "dist"


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    """A folder with the content of the wheel, as pip would install it."""
    folder = tmp_path_factory.mktemp("site")
    [wheel] = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def test_the_wheel_holds_all_that_a_command_reads_and_no_tests(built):
    [wheel] = built.glob("*.whl")
    assert wheel.name == f"jaxvsnerf-{jaxvsnerf.__version__}-py3-none-any.whl"
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {f"jaxvsnerf/configs/{name}.py" for name in CONFIGS} <= held
    assert files_of("jaxvsnerf", ".py", ".jinja", ".js") <= held
    assert {"jaxvsnerf/page/vendor/LICENSE", "jaxvsnerf/page/vendor/README.md"} <= held
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in held)
    tops = {name.split("/")[0] for name in held}
    assert tops == {"jaxvsnerf", f"jaxvsnerf-{jaxvsnerf.__version__}.dist-info"}


def test_the_sdist_holds_all_that_the_wheel_is_made_of(built):
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    made_of = files_of("jaxvsnerf", ".py", ".jinja", ".js") | files_of("configs", ".py")
    made_of |= {"setup.py", "pyproject.toml", "README.md", "LICENSE"}
    assert made_of <= held, made_of - held
    assert {"jaxvsnerf/page/vendor/LICENSE", "jaxvsnerf/page/vendor/README.md"} <= held


def test_the_installed_quickstart_begins_in_an_empty_folder(unpacked, tmp_path):
    """Stopped once the settings are written: training is the same as in a checkout."""
    python, environment = [sys.executable, "-m"], commands.environment()
    environment["PYTHONPATH"] = str(unpacked)
    # Small pictures, which are drawn before the settings are written.
    words = "jaxvsnerf.train --config=quickstart --workdir=x --config.data.size=16".split()
    process = subprocess.Popen(
        [*python, *words], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        commands.wait_for((tmp_path / "x" / "scene.json").exists, process)
    finally:
        process.kill()
        process.communicate()
    settings = json.loads((tmp_path / "x" / "config.json").read_text())
    # What tells the quickstart from the defaults: the toy, and a field of a quarter of the width.
    assert (settings["data"]["kind"], settings["field"]["width"]) == ("toy", 64)


def test_the_installed_package_finds_its_own_configs(unpacked, tmp_path):
    script = (
        "import jaxvsnerf; from jaxvsnerf.config.names import config_names, find_config;"
        "print(jaxvsnerf.__file__, find_config('quickstart'), *config_names())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**commands.environment(), "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    package, config, *names = done.stdout.split()
    assert package == str(unpacked / "jaxvsnerf" / "__init__.py")
    assert config == str(unpacked / "jaxvsnerf" / "configs" / "quickstart.py")
    assert set(names) == CONFIGS
