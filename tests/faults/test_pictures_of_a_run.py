"""A run goes on with its own pictures alone, wherever they lie; a finished run stays usable."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.simulate.toy import render_toy
from tests import commands
from tests.posed_files import c2w, save

SIZE, FOCAL, VIEWS = 24, 26.0, 4
# A stage is as good as three.
SETTINGS = (
    "--config.data.kind=transforms",
    "--config.stage2.steps=0",
    "--config.stage3.steps=0",
)
REFUSED = "holds a run of other pictures"


def write_capture(folder):
    """Four cut-out views of the toy with their poses."""
    cameras = orbit_cameras([90.0 * k for k in range(VIEWS)], 20.0, 1.5, FOCAL, SIZE, SIZE)
    images, masks = render_toy(cameras, supersample=2)
    frames = []
    for view, pose in enumerate(c2w(cameras)):
        save(folder / "images" / f"v{view}.png", images[view], masks[view])
        frames.append({"file_path": f"images/v{view}.png", "transform_matrix": pose.tolist()})
    write_frames(folder, frames)


def write_frames(folder, frames):
    meta = {"fl_x": FOCAL, "w": SIZE, "h": SIZE, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(meta))


def frames_of(folder):
    return json.loads((folder / "transforms.json").read_text())["frames"]


def paint(folder, view):
    """Puts another picture under the name of a view."""
    path = folder / "images" / f"v{view}.png"
    pixels = np.array(Image.open(path))
    pixels[..., :3] = 255 - pixels[..., :3]
    Image.fromarray(pixels).save(path)


def arguments(source, workdir, *more):
    return (*commands.train_arguments(workdir, *SETTINGS), f"--config.data.path={source}", *more)


@pytest.fixture(scope="module")
def finished(shared_run):
    """A finished run with its pictures beside it, to be copied."""

    def call(folder):
        (folder / "capture").mkdir(parents=True)
        write_capture(folder / "capture")
        return ("train", *arguments(folder / "capture", folder / "run"))

    return shared_run("of_pictures", call)


@pytest.fixture
def moved(finished, tmp_path):
    """The finished run and its pictures, each at another place."""
    shutil.copytree(finished / "run", tmp_path / "run")
    shutil.copytree(finished / "capture", tmp_path / "elsewhere")
    return tmp_path / "run", tmp_path / "elsewhere"


def files(folder):
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_other_pictures_are_refused_and_nothing_is_written(moved):
    workdir, capture = moved
    frames, before = frames_of(capture), files(workdir)
    capture_of = {name: capture.with_name(name) for name in ("gone", "order", "camera", "picture")}
    for folder in capture_of.values():
        shutil.copytree(capture, folder)
    write_frames(capture_of["gone"], frames[:-1])
    write_frames(capture_of["order"], frames[::-1])
    turned = [dict(one) for one in frames]
    turned[0]["transform_matrix"], turned[1]["transform_matrix"] = (
        frames[1]["transform_matrix"],
        frames[0]["transform_matrix"],
    )
    write_frames(capture_of["camera"], turned)
    paint(capture_of["picture"], 2)
    said = {
        "gone": "view v3: gone",
        "order": "the views are in another order",
        "camera": "views v0, v1: another camera",
        "picture": "view v2: another picture",
    }
    calls = [("train", *arguments(folder, workdir)) for folder in capture_of.values()]
    calls.append(("evaluate", f"--workdir={workdir}", f"--path={capture_of['picture']}"))
    for done, expected in zip(
        commands.run_each(*calls), [*said.values(), said["picture"]], strict=True
    ):
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert REFUSED in done.stderr and expected in done.stderr, done.stderr
    assert files(workdir) == before


def test_a_finished_run_is_rendered_and_exported_when_its_pictures_are_gone(moved):
    workdir, capture = moved
    mesh = (workdir / "mesh.glb").read_bytes()
    (workdir / "mesh.glb").unlink()
    shutil.rmtree(workdir / "renders")
    settings = json.loads((workdir / "resolved.json").read_text())
    settings["settings"]["data"]["path"] = str(capture / "nothing")
    (workdir / "resolved.json").write_text(json.dumps(settings))
    asked = json.loads((workdir / "config.json").read_text())
    asked["data"]["path"] = "nothing"
    (workdir / "config.json").write_text(json.dumps(asked))
    folder = f"--workdir={workdir}"
    exported, rendered, reported, found = commands.run_each(
        ("export", folder),
        ("render", folder),
        ("report", folder),
        ("report", folder, f"--path={capture}"),
    )
    assert exported.returncode == 0, exported.stderr
    assert (workdir / "mesh.glb").read_bytes() == mesh
    assert rendered.returncode == 0 and "no pictures beside" in rendered.stderr, rendered.stderr
    names = {path.name for path in (workdir / "renders").iterdir()}
    assert names == {*(f"input_v{view}.png" for view in range(VIEWS)), "turntable.mp4"}
    width = Image.open(workdir / "renders" / "input_v0.png").width
    assert width < 4 * SIZE  # rendering, depth, opacity; no picture
    assert reported.returncode == 1 and "--path=PLACE" in reported.stderr, reported.stderr
    assert found.returncode == 0, found.stderr


def test_a_run_goes_on_with_the_same_pictures_at_another_place(moved):
    workdir, capture = moved
    older = shutil.copytree(workdir, workdir.with_name("older"))
    scene = json.loads((older / "scene.json").read_text())
    del scene["prints"], scene["truth"]
    (older / "scene.json").write_text(json.dumps(scene))
    reversed_ = shutil.copytree(capture, capture.with_name("reversed"))
    write_frames(reversed_, frames_of(capture)[::-1])
    went_on, known, other = commands.run_each(
        ("train", *arguments(capture, workdir)),
        ("report", f"--workdir={older}", f"--path={capture}"),
        ("report", f"--workdir={older}", f"--path={reversed_}"),
    )
    assert went_on.returncode == 0 and "going on from stage1 step 6" in went_on.stdout, went_on
    kept = json.loads((workdir / "resolved.json").read_text())
    assert kept["settings"]["data"]["path"] == str(capture)
    # A run of an older version kept no prints: its pictures are taken, which is said.
    assert known.returncode == 0 and "kept no fingerprint" in known.stderr, known.stderr
    assert other.returncode == 1 and "in another order" in other.stderr, other.stderr
