"""A run of version 0.1.0, which wrote no resolved.json, still opens; training it is refused."""

import json
import shutil

import numpy as np
import pytest

from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.config.files import from_plain
from jaxvsnerf.errors import InputError
from jaxvsnerf.run.saved import load_stages
from jaxvsnerf.run.workdir import kept_config, load_settings
from jaxvsnerf.view.live_run import LiveRun
from tests import commands

LEFT_OPEN = {"loss": ("kind",), "stage1": ("coarse_to_fine", "rays")}


@pytest.fixture
def old(run_folder, tmp_path):
    """The smoke run as 0.1.0 left it: paths and dtype resolved, the rest as it was asked."""
    folder = tmp_path / "old"
    shutil.copytree(run_folder, folder)
    asked = json.loads((folder / "config.json").read_text())
    written = json.loads((folder / "resolved.json").read_text())["settings"]
    for section, names in LEFT_OPEN.items():
        written[section].update({name: asked[section][name] for name in names})
    # Terms of the loss had other names, and there was one decoder.
    terms = written["loss"].pop("terms")
    roughness = asked["loss"]["terms"]["roughness"]
    written["loss"].update(mask_weight=terms["mask"], smooth=roughness)
    del written["field"]["decoder"], written["field"]["sdf"]
    (folder / "config.json").write_text(json.dumps(written))
    (folder / "resolved.json").unlink()
    return folder


def test_an_old_run_shows_the_same_field(old, run_folder):
    ours, theirs = (list(load_stages(f, last_only=True).values())[-1] for f in (old, run_folder))
    pictures = [field.render(field.cameras) for field in (ours, theirs)]
    np.testing.assert_array_equal(pictures[0].rgb, pictures[1].rgb)
    live = LiveRun(old)
    assert [saved.stage for saved in live.saved()] == ["stage1", "stage2", "stage3"]


def test_an_old_run_exports_the_same_mesh(old, run_folder):
    done = commands.run("export", f"--workdir={old}")
    assert done.returncode == 0, done.stderr
    assert (old / "mesh.glb").read_bytes() == (run_folder / "mesh.glb").read_bytes()


def test_training_goes_on_in_no_old_run(old):
    before = sorted(path.name for path in old.iterdir())
    with pytest.raises(InputError, match=r"go on with jaxvsnerf 0\.1\.0") as error:
        kept_config(old, from_plain(json.loads((old / "config.json").read_text())))
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in old.iterdir()) == before


def test_an_old_run_of_other_settings_is_refused_in_one_line_that_names_the_version(old):
    values = json.loads((old / "config.json").read_text())
    values["field"]["colour"] = values["field"].pop("depth")
    (old / "config.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"no field.depth, an unknown field.colour") as error:
        load_settings(old)
    assert "open the run with jaxvsnerf 0.1.0" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_new_config_is_never_taken_for_an_old_run(tmp_path):
    assert kept_config(tmp_path, default_config()) is None
