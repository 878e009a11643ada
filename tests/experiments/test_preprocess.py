"""The experiment on preprocessing plants what it says and compares like with like."""

import numpy as np
import pytest

from experiments.preprocess import cases, run
from experiments.preprocess.table import COLUMNS, table
from experiments.results_file import read_rows
from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.study.objects import StudyObject
from jaxvsnerf.types import ViewSet

ITEMS = [StudyObject(name, "folder", f"/{name}", f"/{name}") for name in ("a", "b")]


def make_row(name, option, psnr, found=""):
    """A row of the results."""
    values = dict.fromkeys(COLUMNS, "0.5")
    own = dict(object=name, case="other1", seed="0", option=option, psnr=str(psnr))
    return {**values, **own, "planted": "3", "found": found, "changed": "1"}


@pytest.fixture
def views(monkeypatch):
    """Sixteen views of noise, which stand for every object and damage."""
    cameras = orbit_cameras([22.5 * k for k in range(16)], 30.0, 1.5, 10.0, 16, 16)
    rng = np.random.default_rng(0)
    images = rng.uniform(0.3, 0.6, (16, 16, 16, 3)).astype(np.float32)
    masks = np.zeros((16, 16, 16), np.float32)
    masks[:, 4:12, 3:9] = 1.0
    images = np.where(masks[..., None] > 0, images, np.float32(1.0))
    names = tuple(map(str, range(16)))
    made = ViewSet(images, masks, cameras, np.ones(3, np.float32), names)
    monkeypatch.setattr(cases, "load_truth", lambda item, downscale: made)
    monkeypatch.setattr(cases, "damaged", lambda item, severity, seed, downscale: made)
    return made


@pytest.mark.parametrize("case", cases.CASES)
def test_a_case_changes_what_it_says_and_never_the_background(views, case):
    made = cases.make_case(*ITEMS, case, seed=0)
    count = int(case[-1]) if case[:-1] in cases.OUTLIERS else 0
    assert made.planted.sum() == count and made.truth is views
    np.testing.assert_array_equal(made.views.images[made.views.masks == 0], 1.0)
    moved = np.abs(made.views.images - views.images).max((1, 2, 3)) > 1 / 255
    if case[:-1] in ("shift", "turned", "mirror"):
        np.testing.assert_array_equal(moved, made.planted)
    elif case == "drift":
        assert moved.sum() == cases.DRIFTING


def test_jobs_that_are_done_are_left_out():
    done = {("a", "clean", "0", option) for option in run.OPTIONS}
    jobs = run.plan(ITEMS, ["medium", "clean"], list(run.OPTIONS), [0], done)
    assert [(job.item.name, job.case) for job in jobs] == [
        *(("a", "medium"), ("b", "medium")),
        ("b", "clean"),
    ]
    assert all(job.options[0] == "none" for job in jobs)


def test_the_table_pairs_objects():
    rows = [make_row("a", "none", 20.0), make_row("b", "none", 30.0)]
    rows += [make_row("a", "outliers", 21.0, "3"), make_row("b", "outliers", 32.0, "3 5")]
    line = table(rows).splitlines()[-1]
    assert "+1.50 [+1.00, +2.00]" in line
    assert line.endswith("| 2 | 2 | 1 |")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected the columns"):
        read_rows(path, COLUMNS)
    assert read_rows(tmp_path / "absent.csv", COLUMNS) == []
