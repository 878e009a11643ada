"""The script that runs the tests with several Python interpreters."""

import sys

import pytest

from experiments.interpreters.run import (
    COLUMNS,
    count_tests,
    keep_row,
    make_environment,
    readme_arguments,
)
from experiments.results_file import read_rows
from jaxvsnerf.errors import InputError
from tests.commands import ROOT

REPORT = """<?xml version="1.0"?><testsuites><testsuite tests="9" failures="1" errors="1"
skipped="3"/></testsuites>"""


def test_the_arguments_are_those_of_the_readmes_test_command():
    assert "-q" in readme_arguments((ROOT / "README.md").read_text())
    line = 'pip install ".[test]" && python -m pytest -m "not slow"\n'
    assert readme_arguments(line) == ["-m", "not slow"]
    for wrong in ("", line + line):
        with pytest.raises(InputError, match="one test command"):
            readme_arguments(wrong)


def test_an_error_counts_as_a_failure(tmp_path):
    (tmp_path / "report.xml").write_text(REPORT)
    # 9 tests without 1 failure, 1 error and 3 skipped ones are 4.
    expected = {"passed": 4, "failed": 2, "skipped": 3}
    assert count_tests(tmp_path / "report.xml") == expected


def test_a_second_result_of_the_same_versions_and_tests_replaces_the_first(tmp_path):
    row = dict.fromkeys(COLUMNS, "1")
    for changed in ({}, {"passed": "2"}, {"jax": "2"}):
        keep_row(tmp_path, row | changed)
    rows = read_rows(tmp_path / "results.csv", COLUMNS)
    assert [(one["jax"], one["passed"]) for one in rows] == [("1", "2"), ("2", "1")]


def test_a_wrong_interpreter_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="expected a Python program"):
        make_environment(f"{sys.executable}-none", tmp_path / "environment", ())
