"""The config: made of the specs, resolved by the views; every config file builds."""

import importlib.util

import numpy as np
import pytest

from jaxvsnerf.config import resolve
from jaxvsnerf.config.defaults import default_config, spec_defaults
from jaxvsnerf.config.files import diff_plain, from_plain, to_plain
from jaxvsnerf.config.sections import STAGES
from jaxvsnerf.errors import InputError
from jaxvsnerf.run import assemble
from jaxvsnerf.run.dataset import read_pictures
from jaxvsnerf.run.logs import MetricsLog
from jaxvsnerf.run.prints import dataset_prints
from jaxvsnerf.run.scene_file import load_scene, save_scene
from jaxvsnerf.run.workdir import locked, open_workdir
from jaxvsnerf.training.losses import LossSpec
from jaxvsnerf.training.stages import StageSpec
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
    config.field.dtype = config.field.sdf.products = "float32"
    resolve.data_spec(config)
    views = config.data.num_views if config.data.kind == "toy" else len(config.data.views) or 16
    trainer = assemble.make_trainer(config, views, assemble.make_grid(config, None))
    assert trainer.stages
    assert resolve.render_levels(config)


def test_a_config_survives_its_json_form():
    config, _ = get_config(ROOT / "configs" / "paper.py")
    again = from_plain(to_plain(config))
    assert diff_plain(to_plain(config), to_plain(again)) == ""
    assert again.data.views == (0, 4, 8, 12)
    assert again.stage3.trainable == config.stage3.trainable


def test_attention_sees_no_angle_unless_the_run_did():
    values = to_plain(default_config())
    assert values["field"]["angle_term"] is False
    for kept in (True, False):
        values["field"]["angle_term"] = kept
        assert from_plain(values).field.angle_term is kept
    # True was the default of the versions that might not have written the setting.
    del values["field"]["angle_term"]
    assert from_plain(values).field.angle_term is True


def test_an_unknown_setting_is_refused():
    values = to_plain(default_config())
    values["field"]["colour"] = 3
    with pytest.raises(InputError, match="an unknown field.colour"):
        from_plain(values)


def test_the_defaults_of_the_specs_train_nothing_by_themselves():
    config = spec_defaults()
    assert [config[stage].steps for stage in STAGES] == [0, 0, 0]
    assert config.stage1.warmup == StageSpec.warmup and config.loss.kind == LossSpec.kind


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
    rest = {"loss": 0.5, "psnr": 20.0, "seconds": 1.0}
    rows = [{"stage": s, "step": n, **rest} for s in ("stage1", "stage2") for n in (2, 4)]
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
    "views, kind, smooth, coarse_to_fine, rays",
    [(4, "mse", 3.0, 0.9, 1024), (8, "charbonnier", 0.0, 0.0, 2048)],
)
def test_the_number_of_views_decides_what_is_left_to_it(views, kind, smooth, coarse_to_fine, rays):
    config = default_config()
    config.field.dtype = config.field.sdf.products = "float32"
    trainer = assemble.make_trainer(config, views, None)
    assert (trainer.spec.loss.kind, trainer.spec.loss.terms.roughness) == (kind, smooth)
    assert trainer.stages[0].coarse_to_fine == coarse_to_fine
    assert trainer.stages[1].rays == rays
    config.loss.kind = "charbonnier"
    config.loss.terms.roughness = 0.5
    config.stage1.coarse_to_fine, config.stage2.rays = 0.25, 64
    trainer = assemble.make_trainer(config, views, None)
    assert (trainer.spec.loss.kind, trainer.spec.loss.terms.roughness) == ("charbonnier", 0.5)
    assert (trainer.stages[0].coarse_to_fine, trainer.stages[1].rays) == (0.25, 64)


def test_the_photo_is_no_generated_view():
    # Seven generated views are few (SPARSE is 8); the photo makes eight branches of them.
    config = default_config()
    config.field.dtype, config.data.photo = "float32", "photo.png"
    trainer = assemble.make_trainer(config, 8, None)
    assert (trainer.spec.loss.kind, trainer.spec.loss.terms.roughness) == ("mse", 3.0)
    assert (trainer.stages[0].coarse_to_fine, trainer.stages[1].rays) == (0.9, 8 * 256)
    config.data.photo = ""
    assert assemble.make_trainer(config, 8, None).spec.loss.kind == "charbonnier"


def test_the_scene_file_gives_back_cameras_and_similarity(tmp_path):

    config, _ = get_config(ROOT / "configs" / "smoke.py")
    dataset = read_pictures(config)
    save_scene(tmp_path, dataset)
    scene = load_scene(tmp_path)
    np.testing.assert_array_equal(scene.cameras.w2c, dataset.inputs.cameras.w2c)
    np.testing.assert_array_equal(scene.truth.w2c, dataset.truth.cameras.w2c)
    np.testing.assert_array_equal(scene.background, dataset.inputs.background)
    assert scene.to_cube.scale == dataset.to_cube.scale and scene.photo is None
    assert scene.names == dataset.inputs.names and scene.prints == dataset_prints(dataset)


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
