"""Names of configs, --help, the list of commands, `~` in paths."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxvsnerf
from jaxvsnerf.__main__ import COMMANDS, main, summary
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.config.names import config_names, find_config
from jaxvsnerf.config.resolve import resolve_config
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.run.workdir import open_run, open_workdir
from jaxvsnerf.system.compilation import cache_home
from jaxvsnerf.system.paths import find_path, new_files, numbered_paths, user_path
from tests import commands

PACKAGE = Path(jaxvsnerf.__file__).parent
PACKAGES = ("study", "view")
TAKE_CONFIG = ("train", "create", "study", "inspect")
TAKE_WORKDIR = ("train", "create", "evaluate", "render", "export", "report", "view")
# Flags of absl and JAX that say nothing to a user of the commands.
NOISE = ("logtostderr", "pdb", "only_check_args", "run_with_profiling", "helpxml", "flagfile")


def run_each(*calls):
    """Runs commands; that of a package is the package's `__main__`."""
    named = [(f"{name}.__main__" if name in PACKAGES else name, *rest) for name, *rest in calls]
    return commands.run_each(*named)


def test_a_config_is_found_by_its_name_and_by_its_path(tmp_path, monkeypatch):
    assert find_config("quickstart") == commands.ROOT / "configs" / "quickstart.py"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()  # a folder of this name hides no config
    assert find_config("quickstart") == commands.ROOT / "configs" / "quickstart.py"
    (tmp_path / "mine.py").touch()
    assert find_config("mine.py") == Path("mine.py")
    with pytest.raises(MissingFile, match=f"no config file at {tmp_path}/other.py"):
        find_config("other.py")
    with pytest.raises(
        InputError, match="hash, neus, paper, quickstart, smoke, surface, syncdreamer"
    ):
        find_config("quikstart")


def test_the_configs_inside_the_package_come_first(tmp_path):
    """A wheel has them inside the package; a folder beside it is another package's."""
    inside, beside = tmp_path / "package" / "configs", tmp_path / "configs"
    for folder, name in ((inside, "a.py"), (inside, "_b.py"), (beside, "c.py")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert config_names((inside, beside)) == ("a",)
    assert find_config("a", (inside, beside)) == inside / "a.py"
    assert config_names((tmp_path / "none", beside)) == ("c",)


def test_what_is_wrong_with_a_config_is_one_line(tmp_path):
    broken, empty = tmp_path / "broken.py", tmp_path / "empty.py"
    broken.write_text("def get_config(:\n")
    empty.write_text("")
    expected = {
        (): "expected one of hash, neus, paper, quickstart, smoke, surface, syncdreamer",
        (
            "--config=quikstart",
        ): "expected one of hash, neus, paper, quickstart, smoke, surface, syncdreamer",
        (f"--config={tmp_path}/none.py",): f"no config file at {tmp_path}/none.py",
        (f"--config={broken}",): f"{broken}, line 1: ",
        (f"--config={empty}",): f"{empty}: expected a function get_config()",
        ("--config.data.kind=toy",): "--config.data.kind: expected --config first",
        ("--confg=smoke",): "Unknown command line flag 'confg'",
    }
    found = run_each(*(("train", *given) for given in expected))
    for message, done in zip(expected.values(), found, strict=True):
        assert done.returncode in (1, 2), done.stderr
        assert message in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_the_defaults_of_inspect_are_the_recommended_settings():
    """A wrong override is found although no --config is given."""
    wrong, missing = run_each(
        ("inspect", "x.png", "--config.data.rgi=orbit"), ("inspect", "none.png")
    )
    assert wrong.returncode == 2 and "there is no setting rgi" in wrong.stderr
    assert missing.returncode == 1 and "none.png" in missing.stderr, missing.stderr


def test_help_shows_the_example_and_the_flags_of_the_command_alone():
    helps = run_each(*((name, "--help") for name in COMMANDS))
    for name, done in zip(COMMANDS, helps, strict=True):
        text, flags = done.stdout.split("\nFlags:\n")
        assert done.returncode == 0 and not done.stderr, (name, done.stderr)
        assert text.startswith(summary(name)) and f"python -m jaxvsnerf.{name}" in text, name
        assert ("  --config=CONFIG" in flags) == (name in TAKE_CONFIG), name
        assert ("  --workdir=WORKDIR" in flags) == (name in TAKE_WORKDIR), name
        assert not [word for word in NOISE if word in flags], name
        assert max(map(len, done.stdout.splitlines())) <= 100, name
    assert commands.run("render", "--helpshort").stdout == helps[COMMANDS.index("render")].stdout


def test_the_package_lists_every_command(capsys):
    runnable = {path.stem for path in PACKAGE.glob("*.py") if "def main" in path.read_text()}
    runnable |= {path.parent.name for path in PACKAGE.glob("*/__main__.py")}
    assert set(COMMANDS) == runnable - {"__main__"}
    done = subprocess.run(
        [sys.executable, "-m", "jaxvsnerf"],
        capture_output=True,
        text=True,
        env=commands.environment(),
    )
    assert done.returncode == 0 and jaxvsnerf.__version__ in done.stdout
    for name in COMMANDS:
        assert f"  {name} " in done.stdout and summary(name) in done.stdout
    assert main(["--help"]) == 0 and capsys.readouterr().out == done.stdout
    assert main(["trian"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: unknown word 'trian'") and summary("train") in said
    assert main(["train"]) == 2 and "python -m jaxvsnerf.train" in capsys.readouterr().err


def test_commands_import_no_command():
    for name in COMMANDS:
        path = PACKAGE / f"{name}.py"
        text = (path if path.is_file() else PACKAGE / name / "__main__.py").read_text()
        assert len(text.splitlines()) <= 60, name
        for other in COMMANDS:
            assert f"from jaxvsnerf.{other} import" not in text, name


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder, and another folder in which commands run."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(elsewhere)
    yield home
    assert not list(elsewhere.iterdir()), "a folder called ~ was made"


def test_a_tilde_is_the_home_folder_in_every_function_of_paths(home, monkeypatch):
    (home / "given").touch()
    assert user_path("~/given") == find_path("~/given") == home / "given"
    assert find_config("~/given") == home / "given"
    assert open_workdir("~/run") == home / "run" and (home / "run").is_dir()
    with pytest.raises(MissingFile, match=f"no config.json in {home}/run"):
        open_run("~/run")
    with pytest.raises(MissingFile, match=str(home / "run")):
        jaxvsnerf.load("~/run")
    assert new_files("~/a.png", ".png") == [home / "a.png"]
    monkeypatch.setenv("JAXVSNERF_DATA", "~")
    assert find_path("given") == home / "given"
    assert cache_home({"XDG_CACHE_HOME": "~/cache"}) == home / "cache"
    assert cache_home({"XDG_CACHE_HOME": "cache"}) == home / ".cache"
    with pytest.raises(InputError, match="~nobody-of-this-name/x"):
        user_path("~nobody-of-this-name/x")


def test_a_tilde_is_the_home_folder_in_every_setting(home):
    (home / "given").touch()
    config = default_config()
    for name in ("path", "truth", "mesh", "photo"):
        config.data[name] = "~/given"
    config.metrics.lpips = "~/given"
    resolved = resolve_config(config)
    paths = [resolved.data[name] for name in ("path", "truth", "mesh", "photo")]
    assert [*paths, resolved.metrics.lpips] == [str(home / "given")] * 5


def test_a_tilde_is_the_home_folder_in_every_flag(home):
    """Each flag that names a path, by the message or the file that it leads to."""
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[8:-8, 8:-8] = 255
    Image.fromarray(pixels).save(home / "photo.png")
    for name in ("file", "taken.png", "taken.npz", "a.ckpt"):
        (home / name).touch()
    (home / "weights").mkdir()
    (home / "weights" / "weights.json").touch()
    smoke, photo = f"--config={commands.ROOT}/configs/smoke.py", "--image=~/photo.png"
    expected = {
        ("train", "--config=~/none.py"): f"{home}/none.py",
        ("train", smoke, "--workdir=~/file"): f"{home}/file is a file",
        ("evaluate", "--workdir=~/run"): f"in {home}/run",
        ("render", "--workdir=~/run"): f"in {home}/run",
        ("export", "--workdir=~/run"): f"in {home}/run",
        ("report", "--workdir=~/run"): f"in {home}/run",
        ("view", "--workdir=~/run"): f"in {home}/run",
        ("inspect", "~/none.png"): f"{home}/none.png",
        ("study", smoke, "--objects=~/none", "--out=x"): f"{home}/none",
        ("generate", "--image=~/none.png", "--weights=w", "--out=~/o.png"): f"{home}/none.png",
        ("generate", photo, "--weights=~/none", "--out=~/o.png"): f"in {home}/none",
        ("generate", photo, "--weights=w", "--out=~/taken.png"): f"{home}/taken.png exists",
        ("create", smoke, photo, "--weights=~/none"): f"in {home}/none",
        ("cutout", "~/none.png", "--out=~/o.png"): f"{home}/none.png",
        ("cutout", "~/photo.png", "--out=~/taken.png"): f"{home}/taken.png exists",
        ("lpips_weights", "--out=~/taken.npz"): f"{home}/taken.npz exists",
        ("convert", "--from=~/none.ckpt", "--to=~/w"): f"at {home}/none.ckpt",
        ("convert", "--from=~/a.ckpt", "--to=~/weights"): f"{home}/weights holds weights",
    }
    found = run_each(*expected)
    for (call, message), done in zip(expected.items(), found, strict=True):
        assert done.returncode in (1, 2) and message in done.stderr, (call, done.stderr)
        assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, (call, done.stderr)


def test_a_tilde_is_the_home_folder_in_the_flags_that_paths_are_only_written_to(home):
    """inspect writes at its end, convert after it read a checkpoint: their calls are replaced."""
    script = (
        "import sys, jaxvsnerf.inspect as inspect, jaxvsnerf.convert as convert\n"
        "inspect.inspect_source = lambda config, folder: print(folder)\n"
        "convert.convert_file = lambda path, folder, clip, **others: print(path, folder, clip)\n"
        "{'inspect': inspect, 'convert': convert}[sys.argv.pop(1)].main()\n"
    )
    expected = {
        ("inspect", "--out=~/page"): f"{home}/page\n",
        ("convert", "--from=~/a", "--to=~/b", "--clip=~/c"): f"{home}/a {home}/b {home}/c\n",
    }
    for arguments, text in expected.items():
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True,
            text=True,
            env=commands.environment(),
        )
        assert done.stdout == text, done.stderr


def test_several_files_are_numbered_and_none_is_overwritten(tmp_path):
    (tmp_path / "strip_1.png").touch()
    assert numbered_paths(tmp_path / "strip.png", 1) == [tmp_path / "strip.png"]
    assert new_files(str(tmp_path / "strip.png"), ".png") == [tmp_path / "strip.png"]
    with pytest.raises(InputError, match="strip_1.png exists"):
        new_files(str(tmp_path / "strip.png"), ".png", 2)
    for wrong in ("", "strip.jpg"):
        with pytest.raises(InputError, match=f"ends in .png, got '{wrong}'"):
            new_files(wrong, ".png", 2)
