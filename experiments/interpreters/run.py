"""Installs the package for each Python interpreter and runs the tests there.

    python -m experiments.interpreters.run --python=python3.11,python3.12 --out=DIR [PYTEST ...]

Every interpreter gets a fresh virtual environment with the newest packages that pip finds for it.
Without further words pytest runs the README's test command; words after `--` replace the command's
arguments, such as `-- -m "not slow" tests/geometry`. Adds a row per interpreter to DIR/results.csv;
what pytest printed is in DIR/<python version>.txt.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tempfile
import time
import xml.etree.ElementTree as xml
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments.results_file import Row, read_rows, write_rows
from jaxvsnerf.errors import InputError, OtherProcessFailed
from jaxvsnerf.system import cli
from jaxvsnerf.system.paths import user_path

ROOT = Path(__file__).parents[2]
COLUMNS = ("python", "jax", "numpy", "tests", "passed", "failed", "skipped", "seconds")
KEY = ("python", "jax", "tests")
VERSIONS = """
import json, platform, jax, numpy
print(json.dumps([platform.python_version(), jax.__version__, numpy.__version__]))
"""


def readme_arguments(readme: str) -> list[str]:
    """The arguments of pytest in the README's test command.

    Raises:
      InputError: the README has no such command, or several.
    """
    found = re.findall(r"^pip install .*&& python -m pytest (.*)$", readme, re.MULTILINE)
    if len(found) != 1:
        raise InputError(f"README.md: expected one test command, got {len(found)}")
    return shlex.split(found[0])


def count_tests(report: Path) -> dict[str, int]:
    """Numbers of passed, failed and skipped tests in a report of pytest's --junitxml."""
    suites = list(xml.parse(report).iter("testsuite"))
    total, failures, errors, skipped = (
        sum(int(suite.get(name, 0)) for suite in suites)
        for name in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    return {"passed": total - failed - skipped, "failed": failed, "skipped": skipped}


def make_environment(interpreter: str, folder: Path, requirements: Sequence[str]) -> Path:
    """Makes a virtual environment with the package and the packages of its tests.

    Args:
      interpreter: program of a Python interpreter.
      folder: the folder to make; its parent gets a copy of the sources too.
      requirements: further requirements, such as `jax==0.10.2`.

    Returns:
      The environment's Python program.

    Raises:
      InputError: there is no such program.
      OtherProcessFailed: pip could not install; the message ends with pip's last words.
    """
    python = folder / "bin" / "python"
    # From a copy: pip builds in the folder of the sources, and what an older build left there would
    # be installed too.
    source = folder.with_name("source")
    unused = shutil.ignore_patterns(".git", "build", "dist", "runs", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=unused)
    install = [str(python), "-m", "pip", "install", "--quiet", f"{source}[test]", *requirements]
    for command in ([interpreter, "-m", "venv", str(folder)], install):
        try:
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        except FileNotFoundError as error:
            raise InputError(f"--python: expected a Python program, got {interpreter!r}") from error
        if done.returncode:
            raise OtherProcessFailed(f"{shlex.join(command)} failed: {done.stderr.strip()[-500:]}")
    return python


def run_tests(python: Path, arguments: Sequence[str], out: Path) -> Row:
    """Runs pytest and counts its results.

    Args:
      python: program of an environment with the package.
      arguments: of pytest.
      out: folder of the printed text, written as <python version>.txt.

    Returns:
      A row with COLUMNS.

    Raises:
      OtherProcessFailed: pytest ended without a report.
    """
    told = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, cwd=ROOT)
    if told.returncode:
        raise OtherProcessFailed(f"{python} cannot import JAX: {told.stderr.strip()[-500:]}")
    version, jax, numpy = json.loads(told.stdout)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, (out / f"{version}.txt").open("w") as text:
        report = Path(folder) / "report.xml"
        command = [python, "-m", "pytest", f"--junitxml={report}", *arguments]
        subprocess.run(command, cwd=ROOT, stdout=text, stderr=subprocess.STDOUT)
        if not report.is_file():
            raise OtherProcessFailed(f"pytest wrote no report; see {text.name}")
        counts = count_tests(report)
    seconds = time.perf_counter() - started
    row = {"python": version, "jax": jax, "numpy": numpy, "tests": shlex.join(arguments)}
    return (
        row | {name: str(count) for name, count in counts.items()} | {"seconds": f"{seconds:.0f}"}
    )


def keep_row(out: Path, row: Row) -> None:
    """Adds a row to the results; an older row of the same versions and tests is replaced."""
    path = out / "results.csv"
    others = [old for old in read_rows(path, COLUMNS) if any(old[k] != row[k] for k in KEY)]
    write_rows(path, [*others, row], COLUMNS, KEY)


def main() -> None:
    """The command."""
    pythons = flags.DEFINE_list("python", [], "Python programs, separated by commas.")
    pins = flags.DEFINE_list("require", [], "Further requirements, such as jax==0.10.2.")
    out = flags.DEFINE_string("out", "", "The folder for the results.")

    def command(words: Sequence[str]) -> int:
        if not pythons.value or not out.value:
            raise InputError("expected --python=PROGRAM,... and --out=DIR")
        folder = user_path(out.value)
        folder.mkdir(parents=True, exist_ok=True)
        arguments = words[1:] or readme_arguments((ROOT / "README.md").read_text())
        failed = 0
        for program in pythons.value:
            cli.say(f"{program}: installing ...", passing=True)
            with tempfile.TemporaryDirectory() as place:
                place = Path(place) / "environment"
                python = make_environment(str(user_path(program)), place, pins.value)
                cli.say(f"{program}: testing ...", passing=True)
                row = run_tests(python, arguments, folder)
            keep_row(folder, row)
            failed += int(row["failed"])
            cli.say(", ".join(f"{name} {row[name]}" for name in COLUMNS if name != "tests"))
        return int(failed > 0)

    cli.run(command, positional=1000)


if __name__ == "__main__":
    main()
