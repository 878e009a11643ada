"""The paper's table: objects made ready for a study, and the way from them to the table."""

import functools
import subprocess
import sys

import numpy as np
import pytest

from experiments.gso.prepare import GIVEN, MARK, SIMULATED, damage_seed, prepare_object, read_mark
from experiments.gso.studies import AS_GIVEN, read_study
from experiments.gso.table import table_rows
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.simulate.inconsistency import damage_views
from jaxvsnerf.simulate.toy import toy_dataset
from jaxvsnerf.study.objects import find_objects
from jaxvsnerf.system.png import write_png
from tests import commands, study_objects

SIZE, LEVEL = 24, 1.0 / 255.0


@functools.cache
def toy():
    """Sixteen true views at SyncDreamer's cameras."""
    return toy_dataset(SIZE, 16, "clean", 0, np.ones(3, np.float32)).inputs


def write_truth(folder, views, images=None):
    """RGBA pictures as GSO's truth is rendered, transparent around the object."""
    colors = views.images if images is None else images
    rgba = np.concatenate([colors, views.masks[..., None]], -1)
    for view, picture in enumerate(rgba):
        write_png(folder / f"{view:03d}.png", picture)


@pytest.fixture
def objects(tmp_path):
    """`alone` has truth and a mesh, `sheet` a strip, truth and notes, `top.png` a strip alone."""
    folder = tmp_path / "objects"
    write_truth(folder / "alone" / "gt", toy())
    (folder / "alone" / "mesh.obj").write_text("v 0 0 0\n")
    write_truth(folder / "sheet" / "truth", toy())
    study_objects.write_strip(folder / "sheet" / "strip.png", toy().images)
    (folder / "sheet" / "notes.txt").write_text("nothing of a study's\n")
    study_objects.write_strip(folder / "top.png", toy().images)
    return folder


def found(*folders):
    return {one.name: one for one in find_objects(folders)[0]}


def prepared(objects, out, severity="medium", seed=0):
    """Which were made, by name."""
    out.mkdir(exist_ok=True)
    return {n: prepare_object(one, out, severity, seed) for n, one in found(objects).items()}


def spec(item):
    return DataSpec(kind=item.kind, path=item.path, truth=item.truth, mesh=item.mesh)


def test_a_simulated_strip_loads_as_the_simulated_views(objects, tmp_path):
    prepared(objects, tmp_path / "out", seed=3)
    item = found(tmp_path / "out")["alone"]
    assert (item.kind, item.inputs) == ("strip", "given")
    truth = load_dataset(spec(found(objects)["alone"])).inputs
    expected = damage_views(truth, "medium", damage_seed("alone", 3))
    got = load_dataset(spec(item))
    assert np.abs(expected.images - truth.images).max() > 0.1
    np.testing.assert_allclose(got.inputs.images, expected.images, atol=LEVEL + 1e-6)
    np.testing.assert_allclose(got.inputs.masks, expected.masks, atol=LEVEL / 2 + 1e-6)
    np.testing.assert_array_equal(got.clean, truth.images)
    assert item.mesh.endswith("out/alone/mesh.obj")
    mark = read_mark(tmp_path / "out" / "alone")
    assert (mark["views"], mark["severity"], mark["seed"]) == (SIMULATED, "medium", 3)


def test_a_white_object_keeps_its_mask(tmp_path):
    write_truth(tmp_path / "objects" / "white" / "gt", toy(), np.ones_like(toy().images))
    prepared(tmp_path / "objects", tmp_path / "out", "clean")
    got = load_dataset(spec(found(tmp_path / "out")["white"])).inputs
    np.testing.assert_allclose(got.masks, toy().masks, atol=LEVEL + 1e-6)
    np.testing.assert_allclose(got.images, 1.0, atol=1e-6)


def test_given_pictures_stay_as_they_are(objects, tmp_path):
    prepared(objects, tmp_path / "out")
    items = found(tmp_path / "out")
    assert list(items) == ["alone", "sheet", "top"]
    for name, source in (("sheet", objects / "sheet" / "strip.png"), ("top", objects / "top.png")):
        assert (tmp_path / "out" / name / "strip.png").read_bytes() == source.read_bytes()
        assert read_mark(tmp_path / "out" / name)["views"] == GIVEN
    assert items["sheet"].truth.endswith("gt") and items["top"].truth == ""
    assert sorted(p.name for p in (tmp_path / "out" / "sheet").iterdir()) == [
        "gt",
        MARK,
        "strip.png",
    ]


def test_objects_differ_in_their_damage_and_repeat_it():
    assert damage_seed("a", 0) == damage_seed("a", 0)
    assert len({damage_seed(name, seed) for name in "abc" for seed in range(3)}) == 9


def test_what_is_there_stays_and_other_settings_are_refused(objects, tmp_path):
    out = tmp_path / "out"
    assert prepared(objects, out) == {"alone": True, "sheet": True, "top": True}
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    assert prepared(objects, out) == {"alone": False, "sheet": False, "top": False}
    item = found(objects)["alone"]
    with pytest.raises(ValueError, match=r"seed: 0 -> 1; take another --out"):
        prepare_object(item, out, "medium", 1)
    with pytest.raises(ValueError, match=r'severity: "medium" -> "mild"'):
        prepare_object(item, out, "mild", 0)
    with pytest.raises(ValueError, match="prepared already"):
        prepare_object(found(out)["alone"], tmp_path / "twice", "medium", 0)
    (out / "alone" / MARK).unlink()
    with pytest.raises(ValueError, match="is there, without prepared.json"):
        prepare_object(item, out, "medium", 0)
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")}.keys() <= before.keys()


def test_nothing_half_written_is_left_or_in_the_way(objects, tmp_path):
    out = tmp_path / "out"
    (out / ".alone.partial" / "gt").mkdir(parents=True)
    (out / ".alone.partial" / "strip.png").write_bytes(b"cut")
    whole = study_objects.break_picture(objects / "alone" / "gt" / "007.png")
    with pytest.raises(ValueError, match="007.png is truncated"):
        prepared(objects, out)
    assert not list(out.iterdir())
    (objects / "alone" / "gt" / "007.png").write_bytes(whole)
    assert all(prepared(objects, out).values())
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_what_no_strip_can_hold_is_refused(tmp_path):
    wide = toy().replace(images=toy().images[:, 2:-2], masks=toy().masks[:, 2:-2])
    write_truth(tmp_path / "objects" / "wide" / "gt", wide)
    with pytest.raises(ValueError, match="expected square truth pictures for a strip, got 24 x 20"):
        prepared(tmp_path / "objects", tmp_path / "out")
    (tmp_path / "posed" / "posed").mkdir(parents=True)
    (tmp_path / "posed" / "posed" / "transforms.json").touch()
    with pytest.raises(ValueError, match="name its folder to the study itself"):
        prepared(tmp_path / "posed", tmp_path / "out")


def run(module, *arguments):
    """A command of the experiment."""
    return subprocess.run(
        [sys.executable, "-m", f"experiments.gso.{module}", *arguments],
        capture_output=True,
        text=True,
        env=commands.environment(),
        cwd=commands.ROOT,
    )


def test_a_command_that_finds_no_study_or_other_settings_says_so(objects, tmp_path):
    done = run("table", f"--studies={objects}", f"--out={tmp_path / 'table'}")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "expected the folder of a study" in done.stderr
    prepared(objects, tmp_path / "ready")
    done = run("prepare", f"--objects={objects}", f"--out={tmp_path / 'ready'}", "--seed=1")
    assert done.returncode == 1 and "alone was made with other settings" in done.stdout


@pytest.mark.slow
def test_from_truth_to_the_table(objects, tmp_path):
    ready, out = tmp_path / "ready", tmp_path / "tiny"
    (objects / "top.png").unlink()
    (objects / "alone" / "mesh.obj").unlink()
    done = run("prepare", f"--objects={objects}", f"--out={ready}")
    assert done.returncode == 0, done.stderr
    assert "alone: simulated" in done.stdout and "2 made, 0 there already" in done.stdout
    stages = [f"--config.stage{stage}.steps={steps}" for stage, steps in ((1, 2), (2, 0), (3, 0))]
    config = f"--config={commands.ROOT / 'configs' / 'smoke.py'}"
    folders = [f"--objects={ready}", f"--out={out}"]
    done = commands.run("study", config, *stages, *folders, env=commands.QUICK_TO_COMPILE)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run("table", f"--studies={out}", f"--out={tmp_path / 'table'}")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "table" / "results.md").read_text()
    assert text in done.stdout and (tmp_path / "table" / "results.csv").is_file()
    rows = table_rows([read_study(out)])
    names = [(row.name, row.origin) for row in rows[:4]]
    simulated = "simulated (medium, seed 0)"
    assert names == [
        ("input views", AS_GIVEN),
        ("tiny", AS_GIVEN),
        ("input views", simulated),
        ("tiny", simulated),
    ]
    assert all(row.means["psnr"][0] > 5 for row in rows[:4])
