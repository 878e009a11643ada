"""config.json keeps what was asked, resolved.json what trains; a resume goes on with the latter."""

import json

import pytest

import jaxvsnerf
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.config.files import to_plain
from jaxvsnerf.config.resolve import resolve_config, resolve_views, with_data
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.run.bound import found_settings
from jaxvsnerf.run.workdir import kept_config, load_settings, save_config


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A config whose path is relative to the working folder."""
    (tmp_path / "views.png").touch()
    monkeypatch.chdir(tmp_path)
    return with_data(default_config(), {"path": "views.png"})


@pytest.fixture
def run(tmp_path, asked):
    """A folder in which a run has begun."""
    folder = tmp_path / "run"
    save_config(folder, asked, resolve_views(resolve_config(asked), 4))
    return folder


def read(path):
    return json.loads(path.read_text())


def test_config_json_is_what_was_asked(run, asked):
    assert read(run / "config.json") == to_plain(asked)
    kept = read(run / "config.json")
    assert (kept["data"]["path"], kept["field"]["dtype"]) == ("views.png", "auto")
    assert (kept["loss"]["terms"]["roughness"], kept["stage2"]["rays"]) == (-1.0, 0)


def test_resolved_json_leaves_nothing_open(run, tmp_path):
    resolved = read(run / "resolved.json")
    assert resolved["jaxvsnerf"] == jaxvsnerf.__version__
    settings = resolved["settings"]
    assert settings["data"]["path"] == str((tmp_path / "views.png").resolve())
    assert settings["field"]["dtype"] == "float32"  # the tests run on a CPU
    # Four views are few: see SPARSE, SMOOTH and COARSE_TO_FINE. 256 rays of each of them.
    assert (settings["loss"]["kind"], settings["loss"]["terms"]["roughness"]) == ("mse", 3.0)
    assert settings["stage1"]["coarse_to_fine"] == 0.9
    assert [settings[f"stage{n}"]["rays"] for n in (1, 2, 3)] == [2048, 1024, 4096]


def test_a_resumed_run_takes_what_trained(run, asked):
    made = read(run / "resolved.json")
    made["settings"]["field"]["dtype"] = "bfloat16"  # as a GPU would have begun the run
    (run / "resolved.json").write_text(json.dumps(made))
    assert kept_config(run, asked).field.dtype == "bfloat16"
    assert load_settings(run).field.dtype == "bfloat16"


def test_another_setting_is_refused_with_the_difference(run, asked):
    before = (run / "config.json").read_text()
    asked.stage1.steps = 7
    with pytest.raises(InputError, match=r"stage1.steps: 500 -> 7"):
        kept_config(run, asked)
    with pytest.raises(InputError, match=r"another config .*there -> now"):
        save_config(run, asked, asked)
    assert (run / "config.json").read_text() == before


def test_the_files_of_a_run_may_lie_elsewhere(run, asked, tmp_path, monkeypatch):
    # Whether they are the same files is asked later, by their content.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "views.png").touch()
    monkeypatch.chdir(elsewhere)
    kept = kept_config(run, asked)
    assert kept.data.path == str((elsewhere / "views.png").resolve())
    save_config(run, asked, kept)
    assert load_settings(run).data.path == kept.data.path
    with pytest.raises(MissingFile, match="nothing at"):
        kept_config(run, with_data(asked, {"path": "gone.png"}))


def test_a_command_finds_files_where_they_lie_now(run, tmp_path, monkeypatch):
    moved = tmp_path / "data" / "views.png"
    moved.parent.mkdir()
    (tmp_path / "views.png").rename(moved)
    assert found_settings(run, {"path": str(moved)}).data.path == str(moved.resolve())
    # Without a word from the user: the relative path that was given to training.
    monkeypatch.setenv("JAXVSNERF_DATA", str(moved.parent))
    assert found_settings(run, {}).data.path == str(moved.resolve())
    monkeypatch.delenv("JAXVSNERF_DATA")
    assert found_settings(run, {}).data.path == str((tmp_path / "views.png").resolve())


def test_a_run_that_has_not_begun_keeps_nothing(tmp_path, asked):
    assert kept_config(tmp_path, asked) is None
    with pytest.raises(MissingFile, match="train there first"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda made: made["settings"]["field"].update(colour=3), "an unknown field.colour"),
        (lambda made: made["settings"]["mesh"].pop("faces"), "no mesh.faces"),
    ],
)
def test_settings_of_another_version_are_refused_in_one_line_that_names_the_version(
    run, damage, message
):
    made = read(run / "resolved.json")
    made["jaxvsnerf"] = "0.9.1"
    damage(made)
    (run / "resolved.json").write_text(json.dumps(made))
    with pytest.raises(InputError, match=message) as error:
        load_settings(run)
    assert "jaxvsnerf 0.9.1, which wrote it" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[]", '{"settings": {}}', "{"])
def test_a_damaged_file_is_refused_by_name(run, text):
    (run / "resolved.json").write_text(text)
    with pytest.raises(InputError, match=r"resolved\.json"):
        load_settings(run)


def test_a_value_out_of_range_in_a_file_is_refused_by_name(run):
    made = read(run / "resolved.json")
    made["settings"]["render"]["opaque"] = "much"
    (run / "resolved.json").write_text(json.dumps(made))
    with pytest.raises(InputError, match=r"render\.opaque: expected a number .* got 'much'"):
        load_settings(run)
