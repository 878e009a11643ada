"""The config: locked, saved, compared; every config file builds."""

import importlib.util
import json

import numpy as np
import pytest

from jaxvsnerf.config import resolve
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.config.files import diff_plain, from_plain, load_config, to_plain
from jaxvsnerf.run import assemble
from jaxvsnerf.run.dataset import read_pictures
from jaxvsnerf.run.logs import MetricsLog
from jaxvsnerf.run.scene_file import load_scene, save_scene
from jaxvsnerf.run.workdir import locked, open_workdir, save_config
from tests.conftest import ROOT
from tests.tiny import make_views

CONFIGS = sorted([*ROOT.glob("configs/*.py"), *ROOT.glob("experiments/*/config.py")])


def get_config(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(), module.__doc__


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_config_builds_and_its_docstring_holds_its_command(path):
    config, doc = get_config(path)
    assert f"--config={path.relative_to(ROOT)}" in doc
    if not config.data.path and config.data.kind != "toy":
        config.data.path = "given by the command"
    config.field.dtype = "float32"
    resolve.data_spec(config)
    views = config.data.num_views if config.data.kind == "toy" else len(config.data.views) or 16
    trainer = assemble.make_trainer(config, views, assemble.make_grid(config, None))
    assert trainer.stages
    assert resolve.render_levels(config)


def test_a_config_survives_its_file(tmp_path):
    config, _ = get_config(ROOT / "configs" / "paper.py")
    save_config(tmp_path, config)
    loaded = load_config(tmp_path / "config.json")
    assert diff_plain(to_plain(config), to_plain(loaded)) == ""
    assert loaded.data.views == (0, 4, 8, 12)
    assert loaded.stage3.trainable == config.stage3.trainable


def test_an_unknown_setting_in_a_file_is_refused():
    values = to_plain(default_config())
    values["field"]["colour"] = 3
    with pytest.raises(ValueError, match="field.colour"):
        from_plain(values)


def test_a_run_with_another_config_is_refused_with_the_difference(tmp_path):
    config = default_config()
    save_config(tmp_path, config)
    save_config(tmp_path, config)
    before = (tmp_path / "config.json").read_text()
    config.stage1.steps = 7
    with pytest.raises(ValueError, match=r"stage1.steps: 500 -> 7"):
        save_config(tmp_path, config)
    assert (tmp_path / "config.json").read_text() == before


def test_a_second_process_in_the_workdir_is_refused(tmp_path):
    with locked(tmp_path), pytest.raises(ValueError, match="another process is at work"):
        with locked(tmp_path):
            pass
    with locked(tmp_path):
        pass


def test_a_workdir_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="is a file"):
        open_workdir(str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_resumed_log_repeats_nothing_and_forgets_a_cut_line(tmp_path):
    log = MetricsLog(tmp_path, ("stage1", "stage2"))
    rows = [{"stage": s, "step": n} for s in ("stage1", "stage2") for n in (2, 4)]
    for row in rows:
        log.append(row)
    with log.path.open("a") as file:
        file.write('{"stage": "sta')
    assert log.read() == rows
    log.rewind("stage2", 2)
    assert log.read() == rows[:3]
    log.rewind("", 0)
    assert log.path.read_text() == ""


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sampling.kind": "sphere"}, "grid or hierarchical"),
        ({"sampling.num_intervals": 0}, "sampling.num_intervals: expected at least 1"),
        ({"sampling.background_share": 1.5}, "background_share"),
        ({"loss.kind": "l1"}, "mse, charbonnier"),
        ({"loss.trust": -1.0}, "loss.trust: expected at least 0"),
        ({"loss.smooth": -2.0}, "smooth >= 0"),
        ({"stage1.coarse_to_fine": 1.5}, "stage1.coarse_to_fine: expected 0 to 1"),
        ({"loop.report_every": 0}, "report_every"),
        ({"stage1.mode": "fused"}, "single -> per_view -> fused"),
        ({"data.kind": "film"}, "strip"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(change, message):
    config = default_config()
    config.update_from_flattened_dict(change)
    config.data.path, config.field.dtype = "x", "float32"
    with pytest.raises(ValueError, match=message):
        resolve.data_spec(config)
        assemble.make_trainer(config, 4, None)


@pytest.mark.parametrize(
    "views, kind, smooth, coarse_to_fine, rays",
    [(4, "mse", 3.0, 0.9, 1024), (8, "charbonnier", 0.0, 0.0, 2048)],
)
def test_the_number_of_views_decides_what_is_left_to_it(views, kind, smooth, coarse_to_fine, rays):
    config = default_config()
    config.field.dtype = "float32"
    trainer = assemble.make_trainer(config, views, None)
    assert (trainer.spec.loss.kind, trainer.spec.loss.smooth) == (kind, smooth)
    assert trainer.stages[0].coarse_to_fine == coarse_to_fine
    assert trainer.stages[1].rays == rays
    config.loss.update(kind="charbonnier", smooth=0.5)
    config.stage1.coarse_to_fine, config.stage2.rays = 0.25, 64
    trainer = assemble.make_trainer(config, views, None)
    assert (trainer.spec.loss.kind, trainer.spec.loss.smooth) == ("charbonnier", 0.5)
    assert (trainer.stages[0].coarse_to_fine, trainer.stages[1].rays) == (0.25, 64)


def test_the_scene_file_gives_back_cameras_and_similarity(tmp_path):

    config, _ = get_config(ROOT / "configs" / "smoke.py")
    dataset = read_pictures(config)
    save_scene(tmp_path, dataset)
    json.loads((tmp_path / "scene.json").read_text())
    cameras, background, similarity = load_scene(tmp_path)
    np.testing.assert_array_equal(cameras.w2c, dataset.inputs.cameras.w2c)
    np.testing.assert_array_equal(background, dataset.inputs.background)
    assert similarity.scale == dataset.to_cube.scale


@pytest.mark.parametrize("share, kept", [(0.0, False), (0.25, False), (0.34, True)])
def test_the_hull_forgives_a_share_of_the_views(share, kept):
    views = make_views()
    # What two of three views see is kept where one of them may disagree.
    blank = np.array(views.masks)
    blank[0] = 0.0
    config = default_config()
    config.sampling.grid_resolution = 16
    config.sampling.hull_dilate_px = 0
    config.sampling.hull_outside = share
    damaged = views.replace(masks=blank)
    if kept:
        assert np.asarray(assemble.make_grid(config, damaged).support).any()
    else:
        with pytest.raises(ValueError, match="hull is empty"):
            assemble.make_grid(config, damaged)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_hull_that_forgives_everything_is_refused(share):
    config = default_config()
    config.sampling.hull_outside = share
    with pytest.raises(ValueError, match="hull_outside.*share of the views"):
        assemble.make_grid(config, None)
