"""What would be found bad only after training is found before, or works."""

import re
import subprocess

import numpy as np
import pytest
import trimesh
from PIL import Image

import jaxvsnerf
from tests import commands
from tests.faults.test_security import SMALL, orbit, pictures
from tests.metrics.test_lpips import random_model

QUICK = (
    *("--config.stage1.steps=2", "--config.stage2.steps=0", "--config.stage3.steps=0"),
    *("--config.mesh.resolution=16", "--config.loop.checkpoint_every=1"),
)


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Name of a case -> what its command said."""
    folder = tmp_path_factory.mktemp("workdir")
    given = orbit(pictures(folder / "given"))
    box = trimesh.creation.box().export(file_type="ply", encoding="ascii").decode()
    (folder / "box.ply").write_text(box.replace("\n3 1 ", "\n3 8 "))
    weights = dict(random_model("alex").weights)
    weights["lin0.weight"] = np.full_like(weights["lin0.weight"], np.nan)
    np.savez(folder / "nan.npz", **weights)
    (folder / "taken" / "report.html").mkdir(parents=True)
    for name in ("study.json", "index.html"):
        (folder / f"objects {name}" / name).mkdir(parents=True)
        Image.new("RGB", (64, 16)).save(folder / f"objects {name}" / name / "strip.png")

    def train(workdir, *more):
        return "train", SMALL, *given, *QUICK, f"--workdir={folder / workdir}", *more

    def study(objects):
        return "study", SMALL, f"--objects={folder / objects}", f"--out={folder / 'study'}"

    cases = {
        "mesh": train("run", f"--config.data.mesh={folder / 'box.ply'}"),
        "lpips": train("run", f"--config.metrics.lpips={folder / 'nan.npz'}"),
        "taken": train("taken"),
        "study.json": study("objects study.json"),
        "index.html": study("objects index.html"),
    }
    return folder, dict(zip(cases, commands.run_each(*cases.values()), strict=True))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("mesh", "box.ply: expected triangles between the 8 vertices of the file, but .* absent"),
        ("lpips", "nan.npz: expected finite LPIPS weights, lin0.weight holds NaN"),
        ("taken", "a run writes a file at .*taken/report.html, but there is a folder; rename"),
        ("study.json", "than the files that a study writes, .* got one called 'study.json': "),
        ("index.html", "than the files that a study writes, .* got one called 'index.html': "),
    ],
)
def test_it_is_refused_in_one_line_before_training(case, message, refused):
    folder, said = refused
    done = said[case]
    assert done.returncode == 1 and re.search(message, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(folder.rglob("checkpoints")) and not list(folder.rglob("config.json"))


@pytest.mark.slow
def test_a_folder_that_is_not_utf_8_for_python_is_refused(tmp_path):
    pictures(tmp_path / "objects")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    objects, out = f"--objects={tmp_path / 'objects'}", f"--out={tmp_path / 'Größe'}"
    done = commands.run("study", SMALL, objects, out, env=locale)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "--out: expected a name in UTF-8" in done.stderr and "PYTHONUTF8=1" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["objects"]


@pytest.mark.slow
@pytest.mark.parametrize("workdir", ["v[1]/12:30", "a\\b*?"])
def test_a_whole_run_in_a_folder_of_an_odd_name(workdir, tmp_path):
    """Relative, so that ffmpeg meets the name at the beginning of a path."""
    given = pictures(tmp_path / "given")
    odd = ("=1+1", "<img src=x onerror=alert(1)>", "n" * 225, "a#b%20c'\"", "б")
    for path, name in zip(sorted(given.iterdir()), odd, strict=True):
        path.rename(given / f"{name}.png")
    call = ("train", SMALL, *orbit(given), *QUICK, f"--workdir={workdir}")
    for said in ("trained in", "the run is complete|trained in"):
        done = subprocess.run(
            commands.command(*call),
            capture_output=True,
            text=True,
            env=commands.environment(),
            cwd=tmp_path,
        )
        assert done.returncode == 0 and re.search(said, done.stdout), done.stderr
    folder = tmp_path / workdir
    assert jaxvsnerf.load(folder).params
    assert len(list((folder / "renders").glob("disagreement_*.png"))) == 5
    assert (folder / "renders" / "turntable.mp4").stat().st_size > 0
    page = (folder / "report.html").read_text()
    assert "<img src=x" not in page and "&lt;img src=x" in page
    top = {path.name for path in tmp_path.iterdir()}
    assert top == {"given", workdir.split("/")[0]}  # nothing beside it
