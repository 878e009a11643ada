"""Damage to one object of a study costs that object alone, and nothing that is finished."""

import json
import shutil

import jax
import pytest

from jaxvsnerf.config import resolve
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.config.files import from_plain
from jaxvsnerf.errors import DamagedFile
from jaxvsnerf.study.objects import StudyObject
from jaxvsnerf.study.run_object import read_record, run_object
from jaxvsnerf.study.study import study_run
from tests import commands
from tests import study_objects as tiny
from tests.study.test_study import record


def test_a_damaged_record_is_named_and_its_object_is_run_again(tmp_path, capsys):
    items = [StudyObject(name, "strip", f"/{name}.png") for name in ("torn", "lost", "ok", "new")]
    for one in items[:3]:
        (tmp_path / one.name).mkdir()
        (tmp_path / one.name / "record.json").write_text(json.dumps(record(one.name, 20.0)))
    for name in ("torn", "ok"):
        (tmp_path / name / "scene.json").write_text("{")
    (tmp_path / "torn" / "record.json").write_text('{"name": "torn", "status": "ok"}')
    before = (tmp_path / "ok" / "record.json").read_bytes()
    started = []

    def run(config, folder, stop, left):
        for one in left:
            started.append(one.name)
            yield record(one.name, 30.0)

    records = study_run(default_config(), items, tmp_path, run, lambda: False)
    # The run of `lost` has no scene, which the same command makes again.
    assert started == ["torn", "lost", "new"]
    assert [one["name"] for one in records] == ["torn", "lost", "ok", "new"]
    assert records[2]["scores"]["psnr"] == 20.0
    assert (tmp_path / "ok" / "record.json").read_bytes() == before
    first, second = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / 'torn' / 'record.json'}: expected error to be there" in first
    assert "torn/record.json" in first and "the object counts as not done" in first
    assert "ok/scene.json: expected JSON" in second and "The record of ok stands" in second
    assert set(tiny.rows(tmp_path)) == {"torn", "lost", "ok", "new"}


def test_the_record_of_another_object_is_refused(tmp_path):
    (tmp_path / "record.json").write_text(json.dumps(record("other", 20.0)))
    with pytest.raises(DamagedFile, match=f"expected the record of {tmp_path.name}, got 'other'"):
        read_record(tmp_path)


@pytest.mark.slow
def test_a_whole_run_without_its_record_is_not_trained_again(tmp_path):
    tiny.write_strip(tmp_path / "objects" / "alone.png", tiny.toy().inputs.images)
    out = tmp_path / "out"
    done = commands.run("study", *tiny.arguments(tmp_path / "objects", out))
    assert done.returncode == 0, done.stderr
    first = read_record(out / "alone")
    log = (out / "alone" / "metrics.jsonl").read_bytes()
    for damaged in (out / "alone" / "record.json", out / "alone" / "scene.json"):
        shutil.copy(damaged, tmp_path / "kept")
        damaged.unlink()
        kept = json.loads((out / "study.json").read_text())
        config, item = from_plain(kept["config"]), StudyObject(**kept["objects"]["alone"])
        assert resolve.with_data(config, item.data).data.path == item.path
        again = run_object(config, out, lambda: False, item, jax.local_devices())
        assert again["status"] == "ok" and again["scores"] == first["scores"]
        assert (out / "alone" / "metrics.jsonl").read_bytes() == log
        if damaged.name == "scene.json":
            assert damaged.read_bytes() == (tmp_path / "kept").read_bytes()
