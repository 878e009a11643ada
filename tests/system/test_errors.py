"""Expected errors are one line and an exit status; a bug keeps its traceback."""

import errno
import json
import os
import pickle
import subprocess
import sys

import pytest

from jaxvsnerf.errors import (
    DamagedFile,
    InputError,
    Interrupted,
    MissingExtra,
    MissingFile,
    NonFiniteLoss,
    OtherProcessFailed,
    StorageError,
    error_text,
    is_expected,
)
from jaxvsnerf.study.run_object import failure
from jaxvsnerf.system import cli
from jaxvsnerf.system.files import naming, read_json, replacing, write_text
from jaxvsnerf.system.records import fields, items, maybe, numbers, read_record, text, whole
from tests import commands

NAMED = FileNotFoundError(errno.ENOENT, "No such file or directory", "gone.png")
EXPECTED = {
    "one": InputError("one"),
    "two": MissingFile("two"),
    "three": MissingExtra("three"),
    "four": StorageError("four"),
    "five": NonFiniteLoss("five"),
    "six": OtherProcessFailed("six"),
    "gone.png: No such file or directory": NAMED,
}
# The parents of the expected classes are bugs.
BUGS = [
    ValueError("wrong shape"),
    ImportError("no module"),
    OSError(errno.EBADF, "Bad file descriptor"),
    ArithmeticError("division"),
    RuntimeError("state"),
    KeyError("name"),
    FileNotFoundError("no number and no name"),
]


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize("text", EXPECTED)
def test_an_expected_error_is_one_line_and_status_1(text, capsys):
    assert cli.guard(raising(EXPECTED[text])) == 1
    assert capsys.readouterr() == ("", f"error: {text}\n")
    assert error_text(EXPECTED[text]) == text


@pytest.mark.parametrize("text", EXPECTED)
def test_the_flag_traceback_raises_expected_errors(text):
    with pytest.raises(type(EXPECTED[text])):
        cli.guard(raising(EXPECTED[text]), traceback=True)


@pytest.mark.parametrize("bug", BUGS, ids=repr)
def test_any_other_error_is_raised_and_told_with_its_type(bug, capsys):
    assert not is_expected(bug)
    with pytest.raises(type(bug)):
        cli.guard(raising(bug))
    assert capsys.readouterr() == ("", "")
    assert error_text(bug).startswith(f"{type(bug).__name__}: ")


@pytest.mark.parametrize("stop, status", [(Interrupted("saved"), 143), (KeyboardInterrupt(), 130)])
def test_a_stopped_command_says_how_to_go_on(stop, status, capsys):
    assert cli.guard(raising(stop)) == status
    assert "the same command goes on" in capsys.readouterr().err


def test_a_command_returns_the_status_of_its_work():
    assert [cli.guard(lambda status=status: status) for status in (None, 0, 3)] == [0, 0, 3]


def run_as_command(work: str, *arguments: str) -> subprocess.CompletedProcess:
    """Runs an expression as the work of a command, in a process."""
    script = f"from jaxvsnerf.system import cli\ncli.run(lambda _: {work})"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        env=commands.environment(),
    )


def test_a_bug_in_a_command_keeps_its_traceback():
    done = run_as_command("int('x')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "ValueError: invalid literal" in done.stderr


def test_an_expected_error_of_a_command_shows_its_traceback_on_request():
    work = "open('/nowhere/file')"
    done = run_as_command(work)
    assert done.returncode == 1
    assert done.stderr == "error: /nowhere/file: No such file or directory\n"
    done = run_as_command(work, "--traceback")
    assert done.returncode == 1 and "Traceback" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="the shell's `ulimit -f` limits the size of files")
def test_a_file_that_cannot_be_written_whole_is_named_in_one_line(tmp_path):
    """A limit of 1 block, 1024 bytes, stands for a full disk: `write` fails, `open` does not."""
    script = (
        "from jaxvsnerf.system import cli\n"
        "from jaxvsnerf.system.files import write_text\n"
        "cli.run(lambda _: write_text('page/report.html', 2000 * 'x'))"
    )
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=commands.environment(),
    )
    assert done.returncode == 1
    assert done.stderr == "error: page/report.html: File too large\n"
    assert not list((tmp_path / "page").iterdir())


def test_an_error_of_a_write_names_the_file_and_leaves_the_old_one(tmp_path):
    path = tmp_path / "scores.json"
    write_text(path, "old")
    with pytest.raises(OSError) as caught, replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert error_text(caught.value) == f"{path}: No space left on device"
    # The error of a temporary file names the file that the temporary one stands for.
    with pytest.raises(OSError) as caught, replacing(path):
        pass  # nothing is there to be moved to `path`
    assert error_text(caught.value) == f"{path}: No such file or directory"
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_naming_leaves_other_errors_alone(tmp_path):
    for error in (NAMED, StorageError("ffmpeg failed"), ValueError("wrong shape")):
        before = error_text(error)
        with pytest.raises(type(error)) as caught, naming(tmp_path):
            raise error
        assert caught.value is error and error_text(error) == before


def test_a_study_records_a_bug_with_its_type():
    assert failure(ValueError("wrong\nshape"))["error"] == "ValueError: wrong shape"
    assert failure(InputError("no picture"))["error"] == "no picture"
    assert failure(NAMED)["error"] == "gone.png: No such file or directory"


def test_a_damaged_json_file_is_an_input_error(tmp_path):
    path = tmp_path / "scene.json"
    deep = b"[" * 100 + b"]" * 100
    for damaged in (b'{"a": 1', b"\xff\xfe", b"", b"[NaN]", b"[Infinity]", deep, 3000 * deep):
        path.write_bytes(damaged)
        with pytest.raises(DamagedFile, match=r"scene.json: expected JSON.*; take another$"):
            read_json(path, "take another")
    path.write_text('{"a": 1}')
    assert read_json(path, "") == {"a": 1}


def test_a_value_of_another_kind_is_refused_by_its_place(tmp_path):
    path = tmp_path / "a.json"
    check = fields({"a": items(numbers(None, 2))}, {"b": maybe(text), "c": whole(1, 9)})
    for value in (
        {"a": []},
        {"a": [[[1, 2.5]]], "b": None, "c": 3, "later": 1},
        {"a": [], "b": ""},
    ):
        path.write_text(json.dumps(value))
        assert read_record(path, check, "") == value
    for value, words in (
        ([], "expected an object with a, got []"),
        ({}, "expected a to be there, got nothing"),
        ({"a": 3}, "expected a to be a list, got 3"),
        ({"a": [[[1, 2], [3]]]}, "expected a[0][1] to be a list of numbers of shape [2], got [3]"),
        ({"a": [[[1, "2"]]]}, "expected a[0][0][1] to be a finite number, got '2'"),
        ({"a": [[[1, True]]]}, "expected a[0][0][1] to be a finite number, got True"),
        ({"a": [[[1, 10**400]]]}, "expected a[0][0][1] to be a finite number, got 1000"),
        ({"a": [], "b": "\ud800"}, "expected b to be text, got '\\ud800'"),
        ({"a": [], "c": 10}, "expected c to be a whole number of 1 to 9, got 10"),
    ):
        path.write_text(json.dumps(value))
        with pytest.raises(DamagedFile) as caught:
            read_record(path, check, "copy it")
        assert f"{path}: {words}" in str(caught.value) and str(caught.value).endswith("; copy it")
    path.write_text('{"a": [[[1e999, 0]]]}')
    with pytest.raises(DamagedFile, match="a finite number, got inf"):
        read_record(path, check, "")


def test_the_error_of_a_damaged_file_travels_between_processes():
    error = pickle.loads(pickle.dumps(DamagedFile("a.json", "expected b", "copy it")))
    assert str(error) == "a.json: expected b; copy it"
