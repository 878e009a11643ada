"""Many objects through one command."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from jaxvsnerf.config.files import from_plain
from jaxvsnerf.errors import InputError
from jaxvsnerf.pictures.images import side_by_side, split_row
from jaxvsnerf.study.objects import StudyObject
from jaxvsnerf.study.page import render_study
from jaxvsnerf.study.processes import visible_gpus
from jaxvsnerf.study.results import result_means, summary_text, write_results_csv
from jaxvsnerf.study.study import study_run
from tests import commands
from tests import study_objects as tiny
from tests.commands import wait_for


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """A strip, a folder with truth, and a strip that cannot be read."""
    folder = tmp_path_factory.mktemp("objects")
    toy = tiny.toy()
    tiny.write_strip(folder / "alone.png", toy.inputs.images)
    tiny.write_pictures(folder / "scored" / "inputs", toy.inputs.images)
    tiny.write_pictures(folder / "scored" / "gt", toy.clean)
    trimesh.creation.icosphere(3, 0.3).export(folder / "scored" / "mesh.obj")
    tiny.write_strip(folder / "torn" / "strip.png", toy.inputs.images)
    (folder / "notes").mkdir()
    return folder


@pytest.fixture(scope="module")
def study(objects, tmp_path_factory):
    """A study of them, one object at a time, with its torn picture; (folder, output)."""
    out = tmp_path_factory.mktemp("studies") / "first"
    whole = tiny.break_picture(objects / "torn" / "strip.png")
    done = commands.run("study", *tiny.arguments(objects, out, "--parallel=1"))
    (objects / "torn" / "strip.png").write_bytes(whole)
    assert done.returncode == 1, done.stderr
    return out, done.stdout


def started(objects, out, *more):
    return commands.start("study", *tiny.arguments(objects, out, *more))


def test_one_object_that_fails_is_recorded_and_does_not_stop_the_rest(study):
    out, output = study
    found = tiny.rows(out)
    assert [row["status"] for row in found.values()] == ["ok", "ok", "failed"]
    assert list(found) == ["alone", "scored", "torn"]
    assert "torn/strip.png is truncated" in found["torn"]["error"]
    assert found["scored"]["views"] == "4" and found["scored"]["error"] == ""
    metrics = json.loads((out / "scored" / "eval" / "metrics.json").read_text())
    for column, scores in (("psnr", metrics), ("inputs_psnr", metrics["inputs"])):
        assert float(found["scored"][column]) == pytest.approx(scores["psnr"]["mean"], 1e-5)
    geometry = json.loads((out / "scored" / "eval" / "geometry.json").read_text())
    assert 0 < geometry["iou"] < 1 and 0 < geometry["chamfer"] < 0.5
    for column, score in geometry.items():
        assert float(found["scored"][column]) == pytest.approx(score, 1e-5)
    # No truth: nothing to score.
    for column in ("psnr", "chamfer"):
        assert found["alone"][column] == found["torn"][column] == ""
    assert found["scored"]["lpips"] == ""
    for name in ("alone", "scored"):
        # The mesh is made while pictures are rendered.
        phases = sum(
            float(v) for k, v in found[name].items() if k.endswith("_s") and k != "export_s"
        )
        assert int(found[name]["peak_memory_bytes"]) > 1e6
        assert 0 < phases <= float(found[name]["seconds"]) * 1.01
    assert "[3/3] torn" in output and "failed: torn" in output and "notes" in output


def test_the_page_has_failures_first_pictures_means_and_links(study):
    out, _ = study
    page = (out / "index.html").read_text()
    assert page.index("torn/strip.png is truncated") < page.index('href="alone/report.html"')
    assert (out / "alone" / "report.html").is_file() and (out / "torn" / "log.txt").is_file()
    # Input and rendering of both, the truth of one; nothing is fetched.
    assert page.count('src="data:image/') == 5
    assert not re.search(r'(?:src|href)="(?:https?:|//)', page)
    for name in ("alone", "scored"):
        assert "stage1    60/60" in (out / name / "log.txt").read_text()


@pytest.mark.slow
def test_given_again_only_the_failed_is_tried(study, objects, tmp_path):
    out = tmp_path / "again"
    shutil.copytree(study[0], out)
    before = {p: p.stat().st_mtime_ns for p in (out / "alone").rglob("*") if p.is_file()}
    done = commands.run("study", *tiny.arguments(objects, out))
    assert done.returncode == 0, done.stderr
    assert "2 of 3 objects are done already" in done.stdout and "[1/1] torn" in done.stdout
    assert {row["status"] for row in tiny.rows(out).values()} == {"ok"}
    assert {p: p.stat().st_mtime_ns for p in (out / "alone").rglob("*") if p.is_file()} == before
    assert "truncated" not in (out / "index.html").read_text()


def test_other_pictures_of_an_object_that_is_done_are_refused(study, objects):
    kept = json.loads((study[0] / "study.json").read_text())
    found = [StudyObject(**one) for one in kept["objects"].values()]
    strip = objects / "alone.png"
    whole = strip.read_bytes()
    Image.fromarray(255 - np.asarray(Image.open(strip).convert("RGB"))).save(strip)
    try:
        with pytest.raises(InputError, match=r"alone holds a run of other pictures \(views 000"):
            study_run(from_plain(kept["config"]), found, study[0], None, lambda: False)
    finally:
        strip.write_bytes(whole)


@pytest.mark.slow
def test_killed_and_continued_two_at_a_time_it_ends_with_the_same_bits(study, objects, tmp_path):
    out = tmp_path / "killed"
    process = started(objects, out)
    wait_for(commands.saved(out / "alone", "stage1"), process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (out / "alone" / "record.json").exists()
    done = commands.run("study", *tiny.arguments(objects, out, "--parallel=2"))
    assert done.returncode == 0, done.stderr
    assert "going on from stage1 step" in (out / "alone" / "log.txt").read_text()
    for name in ("alone", "scored"):
        commands.assert_same_bits(study[0] / name, out / name)
        assert (study[0] / name / "mesh.glb").read_bytes() == (out / name / "mesh.glb").read_bytes()


@pytest.mark.slow
def test_sigterm_reaches_all_that_are_at_work(objects, tmp_path):
    out, names = tmp_path / "terminated", ("alone", "scored")
    process = started(objects, out, "--parallel=2", "--config.stage1.steps=1000000")
    wait_for(lambda: any(commands.saved(out / n, "stage1")() for n in names), process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors
    assert "3 of 3 objects to go; the same command goes on" in errors
    for name in names:
        assert "of stage1; saved" in (out / name / "log.txt").read_text()
    assert not (out / "torn").exists()


@pytest.mark.slow
def test_a_killed_process_costs_its_object_alone(objects, tmp_path):
    out = tmp_path / "lost"
    process = started(objects, out, "--config.stage1.steps=1000000")
    wait_for(commands.saved(out / "alone", "stage1"), process)
    (worker,) = workers_of(process)
    os.kill(worker, signal.SIGKILL)
    wait_for(commands.saved(out / "scored", "stage1"), process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors
    assert "its process ended with status -9" in tiny.rows(out)["alone"]["error"]


def workers_of(process) -> list[int]:
    """The processes that a study has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    commands_of = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
    return [pid for pid, command in commands_of.items() if "spawn_main" in command]


def test_gpus_are_found_without_waking_them(tmp_path):
    for name in ("0000:1a:00.0", "0000:4f:00.0"):
        (tmp_path / name).mkdir()
    assert visible_gpus({}, tmp_path) == ["0", "1"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "3, 5"}, tmp_path) == ["3", "5"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == []
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "0,-1,1"}, tmp_path) == ["0"]
    assert visible_gpus({"JAX_PLATFORMS": "cpu"}, tmp_path) == []
    assert visible_gpus({"JAX_PLATFORMS": "cuda,cpu"}, tmp_path) == ["0", "1"]
    assert visible_gpus({}, tmp_path / "none") == []


def test_another_config_or_other_objects_in_its_folder_are_refused(study, objects, tmp_path):
    before = sorted((p, p.stat().st_mtime_ns) for p in study[0].rglob("*") if p.name != ".lock")
    tiny.write_strip(tmp_path / "other" / "alone.png", tiny.toy().inputs.images)
    refused = commands.run_each(
        ("study", *tiny.arguments(objects, study[0], "--config.stage1.steps=9")),
        ("study", *tiny.arguments(tmp_path / "other", study[0])),
    )
    for done, expected in zip(
        refused, ("config.stage1.steps: 60 -> 9", "objects.scored"), strict=True
    ):
        assert done.returncode == 1 and expected in done.stderr, done.stderr
    after = sorted((p, p.stat().st_mtime_ns) for p in study[0].rglob("*") if p.name != ".lock")
    assert after == before


def test_an_empty_folder_is_an_error_of_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    done = commands.run("study", *tiny.arguments(tmp_path / "empty", tmp_path / "out"))
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "no object in" in done.stderr and "strip.png" in done.stderr
    assert not (tmp_path / "out").exists()


def record(name, psnr=None, **more):
    scores = {} if psnr is None else {"psnr": psnr, "ssim": 0.9}
    ok = {"status": "ok", "error": "", "inputs": "given", "mesh": "", "views": 4, "total": 8.0}
    rest = {"seconds": {"train": 6.0}, "scores": scores, "input_scores": {}, "pictures": {}}
    return {"name": name, **ok, **rest, **more}


FAILED = {"name": "c", "status": "failed", "error": "no", "inputs": "given", "mesh": "", "total": 1}


def test_means_are_over_the_objects_that_have_the_value(tmp_path):
    records = [record("a", 20.0), record("b", 30.0, total=10.0), record("d"), FAILED]
    means = result_means(records)
    assert means["psnr"] == (25.0, 2) and means["train_s"] == (6.0, 3)
    assert means["seconds"] == (pytest.approx(26 / 3), 3)
    assert "inputs_psnr" not in means
    text = summary_text(records)
    assert (
        "25.0000" in text
        and "8.7 s from the start to the end of an object, mean of 3" in text
        and "failed: c: no" in text
    )
    assert summary_text([FAILED]) == "failed: c: no"
    write_results_csv(tmp_path / "results.csv", records)
    assert [*tiny.rows(tmp_path)] == ["a", "b", "d", "c"]
    assert tiny.rows(tmp_path)["c"]["seconds"] == "1"


def test_the_table_holds_no_formula_and_its_numbers_stay_numbers(tmp_path):
    names = ("=1+1", "+a", "-2", "@sum", "\t=1", "plain", "a\r=1")
    records = [record(name, -0.5) for name in names]
    records.append(FAILED | {"error": "=cmd|' /c calc'!A0"})
    write_results_csv(tmp_path / "results.csv", records)
    rows = tiny.rows(tmp_path)
    assert list(rows) == [*(f"'{name}" for name in names[:5]), "plain", "a =1", "c"]
    assert rows["c"]["error"] == "'=cmd|' /c calc'!A0"
    assert rows["plain"]["psnr"] == "-0.5" and rows["plain"]["views"] == "4"


def test_the_page_escapes_names_and_stands_without_any_success():
    page = render_study("x", [FAILED | {"name": "<b>", "error": "a<b"}], 3, {})
    assert "<b>" not in page and "a&lt;b" in page and "1 of 3" in page
    page = render_study("x", [record("a b", 20.0)], 1, {})
    assert 'href="a%20b/report.html"' in page and "Failed" not in page


def test_a_row_of_pictures_comes_apart_again():
    pictures = [np.full((3, 5, 3), value, np.float32) for value in (0.0, 0.4, 1.0)]
    for one, back in zip(pictures, split_row(side_by_side(pictures), 5), strict=True):
        np.testing.assert_array_equal(one, back)
