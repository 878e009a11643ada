"""A run's own files against seeded damage: the values that were written, or an error with a name.

A file of ours in JSON has no checksum. A reader cannot notice a value that is another one of the
same kind (a digit of a score or of a camera's place, a letter of a name, a fingerprint, a setting
in its range) nor an optional value that is gone.
"""

import functools
import json
import shutil

import numpy as np
import pytest

from experiments.reliability.damage import damage, damage_json
from jaxvsnerf.config.files import to_plain
from jaxvsnerf.errors import DamagedFile, InputError
from jaxvsnerf.generation.weights import read_info
from jaxvsnerf.page.preparation import preparation_section
from jaxvsnerf.page.report import score_table
from jaxvsnerf.preprocess.prepare import load_record, record_facts
from jaxvsnerf.run.check import kept_remarks
from jaxvsnerf.run.logs import MetricsLog
from jaxvsnerf.run.page import _metrics as run_metrics
from jaxvsnerf.run.scene_file import load_scene
from jaxvsnerf.run.scores import read_geometry, read_metrics
from jaxvsnerf.run.usage import load_usage, usage_facts
from jaxvsnerf.run.workdir import load_asked, load_settings
from jaxvsnerf.study.page import render_study
from jaxvsnerf.study.results import summary_text, write_results_csv
from jaxvsnerf.study.run_object import read_record
from tests.refusals import refusals

STAGES = ("stage1", "stage2", "stage3")
NAMES = ("000", "001", "002", "003")
RECORD = {
    **{"name": "", "status": "ok", "error": "", "inputs": "given", "mesh": "", "total": 8.5},
    **{"seconds": {"load": 1.5, "train": 6.0}, "views": 4, "memory": 123456789},
    **{"scores": {"psnr": 20.0, "iou": 0.5}, "input_scores": {"psnr": 18.0}},
    "pictures": {"input": "data:image/png;base64,AA", "rendering": "data:image/png;base64,AA"},
}
INFO = {
    **{"format_version": 1, "model": "zero123", "dtype": "bfloat16"},
    "sources": [{"file": "a.ckpt", "bytes": 5, "sha256": "ab"}],
    "spec": {
        **dict.fromkeys(("unet_width", "autoencoder_width", "clip_layers", "text_context"), 32),
        **{"volume_widths": [16, 24, 32, 40], "clip_width": 128},
        **{"text_vocabulary": 16, "text_width": 64},
    },
}


@pytest.fixture
def folder(run_folder, tmp_path):
    """The JSON files of a run, of an object of a study and of weights."""
    (tmp_path / "eval").mkdir()
    for path in (*run_folder.glob("*.json*"), run_folder / "eval" / "metrics.json"):
        shutil.copy(path, tmp_path / path.relative_to(run_folder))
    scores = {"chamfer": 0.1, "iou": 0.5, "normal_deg": 20.5}
    made = {"record": {**RECORD, "name": tmp_path.name}, "eval/geometry": scores, "weights": INFO}
    for name, value in made.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    return tmp_path


def use_scene(folder):
    scene = load_scene(folder)
    assert scene.cameras.w2c.shape == (4, 3, 4) and scene.cameras.intrinsics.shape == (4, 3, 3)
    for cameras in filter(None, (scene.cameras, scene.photo, scene.truth)):
        turn = cameras.w2c[..., :3]
        assert np.abs(turn @ turn.swapaxes(1, 2) - np.eye(3)).max() < 1.1e-3
        assert np.isfinite(cameras.w2c).all() and np.isfinite(cameras.intrinsics).all()
        assert (cameras.intrinsics[:, [0, 1], [0, 1]] > 0).all()
    assert np.isfinite(scene.background).all() and scene.to_cube.scale > 0


def use_record(folder):
    record = read_record(folder)
    render_study("x", [record], 1, {})
    write_results_csv(folder / "results.csv", [record])
    summary_text([record])


def use_preparation(folder):
    record = load_record(folder, 4)
    assert "nan" not in str(record_facts(record, NAMES))
    preparation_section(record, NAMES)


def use_usage(folder):
    usage_facts(load_usage(folder))


READERS = {
    "scene.json": use_scene,
    "record.json": use_record,
    "preprocess.json": use_preparation,
    "usage.json": use_usage,
    "remarks.json": lambda folder: "".join(kept_remarks(folder)).encode(),
    "eval/metrics.json": lambda folder: json.dumps(score_table(read_metrics(folder))),
    "eval/geometry.json": lambda folder: "{chamfer:.3f}{iou:.3f}".format(**read_geometry(folder)),
    "config.json": lambda folder: json.dumps(load_asked(folder), allow_nan=False),
    "resolved.json": lambda folder: json.dumps(to_plain(load_settings(folder)), allow_nan=False),
    "weights.json": read_info,
}


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_json_file_loads_or_is_refused_by_name(name, folder):
    refused, _ = refusals(folder / name, lambda: READERS[name](folder), damage_json, 60)
    assert refused > 20


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("w2c", 1, 0), [2.0, 0, 0, 0], r"w2c\[1\] to be a rotation, orthonormal within 0.001"),
        (("w2c", 1, 0, 3), 1e39, r"w2c\[1\]\[0\]\[3\] to be a finite number, got 1e\+39"),
        (("truth", "w2c", 0), [[0, 0, 0, 0]] * 3, r"truth.w2c\[0\] to be a rotation"),
        (("intrinsics", 2, 1, 1), -26.25, r"intrinsics\[2\] to be K with focal lengths above 0"),
        (("intrinsics", 2, 2, 2), 0.5, r"intrinsics\[2\] to be K with .* a last row of 0 0 1"),
        (("names", 3), "../3", "names to be different names of files"),
        (("names", 3), "000", "names to be different names of files"),
        (("width",), 2**26, "width to be of pictures of at most 67108864 pixels"),
        (("to_cube", "scale"), 0, "to_cube.scale to be a number above 0, got 0"),
        (("photo",), {}, "photo.width to be there, got nothing"),
        (("prints", "views"), {}, "prints.views to be those of the views 000, 001, 002, 003"),
    ],
)
def test_cameras_that_are_none_are_refused_by_their_place(place, value, words, folder):
    path = folder / "scene.json"
    scene = json.loads(path.read_text())
    *parents, last = place
    functools.reduce(lambda inner, key: inner[key], parents, scene)[last] = value
    path.write_text(json.dumps(scene))
    with pytest.raises(DamagedFile, match=f"scene.json: expected {words}.*; copy the run again"):
        load_scene(folder)


def test_scores_that_contradict_themselves_or_the_run_are_refused_with_the_command(folder):
    path = folder / "eval" / "metrics.json"
    metrics = json.loads(path.read_text())
    views = metrics["views"]
    assert run_metrics(folder, views, STAGES) == metrics
    mend = rf"; delete the file and run `python -m jaxvsnerf.evaluate --workdir={folder}`"
    with pytest.raises(DamagedFile, match=f"metrics.json: expected the scores of stage4.*{mend}"):
        run_metrics(folder, views, ("stage4",))
    with pytest.raises(DamagedFile, match=f"the scores of stage1 at {views[0]}, got.*{mend}"):
        run_metrics(folder, views[:1], STAGES)
    metrics["stages"]["stage1"]["psnr"]["mean"] += 0.01
    path.write_text(json.dumps(metrics))
    with pytest.raises(DamagedFile, match=f"stages.stage1.psnr.mean to be the mean.*{mend}"):
        read_metrics(folder)


def test_damaged_settings_are_said_to_be_damaged(folder):
    made = json.loads((folder / "resolved.json").read_text())
    for change, words in (
        ({"seed": 10**400}, r"resolved.json: seed: expected a whole number"),
        ({"seed": None}, r"resolved.json: seed: expected a whole number"),
        ({"sead": 1}, r"resolved.json has other settings .*an unknown sead\).*was changed"),
        ({"mesh": {}, "data": 3}, r"resolved.json has other settings .* and \d+ more\)"),
        ({"loss": {**made["settings"]["loss"], "eps": 10**400}}, "resolved.json: loss.eps: exp"),
    ):
        text = json.dumps({**made, "settings": {**made["settings"], **change}})
        (folder / "resolved.json").write_text(text)
        with pytest.raises(InputError, match=f"{words}.*; copy the run again"):
            load_settings(folder)


def test_a_damaged_line_of_the_log_is_left_out(folder):
    log = MetricsLog(folder, STAGES)
    lines, rows = log.path.read_bytes().splitlines(), log.read()
    assert len(rows) == len(lines) > 5
    for seed in range(60):
        rng = np.random.default_rng(seed)
        at, broken = int(rng.integers(len(lines))), list(lines)
        broken[at] = damage_json(lines[at], rng)[1]
        log.path.write_bytes(b"\n".join(broken) + b"\n")
        found = log.read()
        assert [row for row in found if row in rows] in (rows, rows[:at] + rows[at + 1 :])
        assert all(np.isfinite([row["loss"], row["psnr"]]).all() for row in found)
        log.rewind("stage2", 4)
    log.path.write_bytes(damage(b"".join(lines), np.random.default_rng(0))[1])
    log.read()
