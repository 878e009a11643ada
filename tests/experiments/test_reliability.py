"""The campaign against the doors: a short, seeded part of it, and what counts as a failure."""

import json

import pytest

from experiments.reliability import bits, commands, run, worker
from experiments.reliability.doors import Door, Garbage, doors, judge

CHEAP = ("strip_png", "transforms", "colmap_binary", "meshes", "safetensors", "settings")


@pytest.fixture(scope="module")
def known(run_folder):
    return doors(run_folder)


@pytest.mark.parametrize("name", CHEAP)
def test_damaged_inputs_are_read_or_refused_by_name(known, name, tmp_path):
    door, base = known[name], tmp_path / name
    base.mkdir()
    door.make(base)
    door.read(base)
    for case in range(4):
        row = worker.handle({"part": "inputs", "door": name, "case": case, "seed": 1}, base, door)
        assert not run.failed(row), row
        assert not list(tmp_path.glob("*_case"))


def test_flipped_bits_of_checkpoints_change_nothing_unnoticed(run_folder, tmp_path):
    rows = [bits.flipped_bit(tmp_path, run_folder, case, 1) for case in range(3)]
    assert not any(map(run.failed, rows)), rows


def test_what_goes_wrong_is_told_apart(tmp_path):
    (tmp_path / "file").write_text("x")

    def outcome(read):
        return worker.outcome_of(Door(lambda _: None, "*", read), tmp_path)[0]

    def raise_(error):
        raise error

    assert outcome(lambda _: None) == "read"
    assert outcome(lambda folder: (folder / "absent").read_text()) == "refused"
    assert outcome(lambda _: raise_(KeyError("a"))) == "traceback"
    assert outcome(lambda _: judge(False, "shape")) == "garbage"
    assert run.failed({"outcome": "traceback"}) and run.failed({"outcome": "hang"})
    assert not run.failed({"outcome": "refused"})
    assert run.failed({"outcome": "refused", "grown_mb": run.MOST_MB + 1})
    with pytest.raises(Garbage):
        judge(False, "words")


def test_a_second_start_goes_on(tmp_path):
    path = tmp_path / "cases.jsonl"
    row = {"part": "inputs", "door": "meshes", "case": 3, "outcome": "read"}
    # The last line was cut when the process was killed.
    path.write_text(json.dumps(row) + "\n" + json.dumps(row)[:20])
    book = run.Book(path)
    assert book.has("inputs", "meshes", 3) and not book.has("inputs", "meshes", 4)
    assert run.table(book.rows)[0]["outcomes"] == "1 read"


def test_left_files_of_a_killed_process_are_found(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / "eval").mkdir()
    assert commands.leftovers(tmp_path) == []
    (tmp_path / "eval" / ".jaxvsnerf-0-1.json").touch()
    assert commands.leftovers(tmp_path) == ["eval/.jaxvsnerf-0-1.json"]
