"""Wrong sources through the command line: refused before anything is written, with the mend."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data.rigs import complete_rig, rig_cameras
from jaxvsnerf.run.check import keep_remarks, kept_remarks
from tests import commands
from tests.posed_files import tiny
from tests.solid_views import solid_views

ZERO123PP = "--config.data.rig=zero123pp-v1.2"


def train(folder, path, *more):
    """A call of `train` on pictures, into the folder `run`."""
    given = ["--config.data.kind=auto", "--config.data.views=()", f"--config.data.path={path}"]
    given += ["--config.preprocess.outliers=False"]  # takes seconds to compile
    return "train", *commands.train_arguments(folder / "run", *given, *more)


def strip(count=16, side=8):
    """A strip of grey squares on white."""
    views = np.full((side, count, side, 3), 255, np.uint8)
    views[2:-2, :, 2:-2] = 90
    return Image.fromarray(views.reshape(side, count * side, 3))


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """What the command says about each wrong source, by name."""
    folder = tmp_path_factory.mktemp("door")
    six = solid_views(rig_cameras(complete_rig("zero123pp-v1.2"), 32, 32), 0.34).images
    rows = [np.concatenate(list(six[k : k + 2]), 1) for k in (0, 2, 4)]
    sheet = folder / "sheet.png"
    Image.fromarray(np.uint8(255 * np.concatenate(rows) + 0.5)).save(sheet)
    (folder / "samples").mkdir()
    for k in range(4):
        strip().save(folder / "samples" / f"{k}.png")
    tiny(folder / "away", lambda meta: meta["frames"][1].update(file_path="/home/me/shot/1.png"))
    one = folder / "samples" / "0.png"
    calls = {
        "sheet": train(folder, sheet, ZERO123PP, "--config.data.distance=4"),
        "samples": train(folder, folder / "samples"),
        "away": train(folder, folder / "away"),
        "list": train(folder, one, "--config.data.views=0,4,99"),
        "brackets": train(folder, one, "--config.data.views=[0,4,99]"),
        "up": train(folder, one, "--config.data.up=(0,0,0)"),
        "exif": train(folder, one, "--config.data.exif=sideways"),
    }
    said = dict(zip(calls, commands.run_each(*calls.values()), strict=True))
    assert not (folder / "run").exists()
    return said


@pytest.mark.parametrize(
    "name, words",
    [
        ("sheet", ["reaches out of the cube", "--config.data.similarity=(0.", "fits the whole"]),
        ("samples", ["4 strips of 16 views each (0.png ... 3.png)", "data.path="]),
        ("away", ["frame 1", "/home/me/shot/1.png", "leaves the data folder"]),
        ("list", ["data.views [99] do not exist", "16 views"]),
        ("brackets", ["data.views [99] do not exist", "16 views"]),
        ("up", ["data.up: expected a direction such as (0,0,1)"]),
        ("exif", ["data.exif", "upright", "stored"]),
    ],
)
def test_a_wrong_source_is_refused_with_the_mend(refused, name, words):
    done = refused[name]
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_remarks_of_a_run_are_kept_for_the_page(tmp_path):
    assert kept_remarks(tmp_path) == []
    keep_remarks(tmp_path, ["read as <b>", "warning: x"])
    assert kept_remarks(tmp_path) == ["read as <b>", "warning: x"]
    assert json.loads((tmp_path / "remarks.json").read_text()) == kept_remarks(tmp_path)


@pytest.mark.slow
def test_a_run_says_shows_and_keeps_how_its_pictures_were_read(tmp_path):
    sheet = strip().resize((16 * 16, 16), Image.Resampling.NEAREST)
    padded = Image.new("RGB", (16 * 18 + 2, 20))
    for k in range(16):
        padded.paste(sheet.crop((16 * k, 0, 16 * k + 16, 16)), (2 + 18 * k, 2))
    padded.save(tmp_path / "it's 50% #1 снимок.png")
    done = commands.run(*train(tmp_path, tmp_path / "it's 50% #1 снимок.png"))
    assert done.returncode == 0, done.stderr
    assert "with gaps of 2 pixels" in done.stdout
    assert "with gaps of 2 pixels" in (tmp_path / "run" / "log.txt").read_text()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "About the input views" in page and "with gaps of 2 pixels" in page
    assert "снимок" in page and "50%" in page
