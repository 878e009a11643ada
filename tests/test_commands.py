"""A run from end to end, what survives, and what is refused."""

import errno
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxvsnerf
from jaxvsnerf.training import checkpoints as checkpoints_module
from jaxvsnerf.training.checkpoints import BrokenCheckpoint, Checkpoints
from jaxvsnerf.types import TrainState
from tests import commands

STAGES = ("stage1", "stage2", "stage3")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Runs of this module share compiled programs, as a user's second run would."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
    }


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, cache):
    """One smoke run, all stages."""
    folder = tmp_path_factory.mktemp("runs") / "smoke"
    done = commands.run("train", *commands.train_arguments(folder), env=cache)
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    return folder


def final_state(folder):
    """Every array of the last checkpoint, by name."""
    field = jaxvsnerf.load(folder)
    import jax

    leaves = jax.tree_util.tree_leaves_with_path((field.params, field.grid))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_same_bits(a, b):
    left, right = final_state(a), final_state(b)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_one_command_leaves_everything_the_readme_lists(run_folder):
    for name in (
        "config.json",
        "scene.json",
        "metrics.jsonl",
        "eval/metrics.json",
        "eval/metrics.csv",
        "renders/turntable.mp4",
        "mesh.glb",
        "report.html",
    ):
        assert (run_folder / name).stat().st_size > 0, name
    assert len(list((run_folder / "renders").glob("input_*.png"))) == 4
    assert len(list((run_folder / "renders").glob("novel_*.png"))) > 0
    assert sorted(p.name for p in (run_folder / "checkpoints").iterdir()) == list(STAGES)


def test_the_scores_have_every_stage_and_the_inputs(run_folder):
    metrics = json.loads((run_folder / "eval" / "metrics.json").read_text())
    assert tuple(metrics["stages"]) == STAGES
    assert metrics["psnr"] == metrics["stages"]["stage3"]["psnr"]
    for scores in (metrics, metrics["inputs"], *metrics["stages"].values()):
        for name in ("psnr", "ssim", "ssim_crop5"):
            values = scores[name]
            assert values["mean"] == pytest.approx(np.mean(values["per_view"]))
    assert "stage3" in (run_folder / "stdout.txt").read_text()


def test_a_trained_field_is_one_call_away(run_folder):
    field = jaxvsnerf.load(run_folder)
    picture = field.render(field.cameras)
    assert picture.rgb.shape == (4, 24, 24, 3)
    assert (
        np.isfinite(picture.rgb).all() and picture.rgb.min() >= 0 and picture.rgb.max() <= 1 + 1e-6
    )
    density, rgb = field.query(np.zeros((3, 3)))
    assert density.shape == (3,) and rgb.shape == (3, 3) and density[0] >= 0
    for mode in ("canonical", "nearest", "fused"):
        assert jaxvsnerf.load(run_folder, mode=mode).render(field.cameras).rgb.shape[0] == 4
    with pytest.raises(ValueError, match="stage1, stage2, stage3"):
        jaxvsnerf.load(run_folder, stage="stage4")
    with pytest.raises(ValueError, match="mode"):
        jaxvsnerf.load(run_folder, mode="blend")


def test_evaluate_render_export_report_take_the_workdir_alone(run_folder, tmp_path, cache):
    folder = tmp_path / "copy"
    shutil.copytree(run_folder, folder)
    scores = (folder / "eval" / "metrics.json").read_text()
    made = ("eval/metrics.json", "renders/turntable.mp4", "mesh.glb", "report.html")
    for name, product in zip(("evaluate", "render", "export", "report"), made, strict=True):
        (folder / product).unlink()
        done = commands.run(name, f"--workdir={folder}", env=cache)
        assert done.returncode == 0, done.stderr
        assert (folder / product).stat().st_size > 0
    assert (folder / "eval" / "metrics.json").read_text() == scores


def test_two_runs_of_one_command_are_bit_equal(run_folder, tmp_path, cache):
    done = commands.run("train", *commands.train_arguments(tmp_path / "again"), env=cache)
    assert done.returncode == 0, done.stderr
    assert_same_bits(run_folder, tmp_path / "again")
    first, second = (
        (folder / "eval" / "metrics.json").read_text()
        for folder in (run_folder, tmp_path / "again")
    )
    assert first == second


def wait_for(condition, process, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < deadline, "the run took too long"
        time.sleep(0.005)


def start(folder, cache, *overrides):
    return subprocess.Popen(
        commands.command("train", *commands.train_arguments(folder, *overrides)),
        env={**commands.environment(), **cache},
        cwd=commands.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_killed_in_stage_2_goes_on_and_ends_with_the_same_bits(run_folder, tmp_path, cache):
    folder = tmp_path / "killed"
    process = start(folder, cache)
    wait_for((folder / "checkpoints" / "stage2" / "2").exists, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "mesh.glb").exists()
    done = commands.run("train", *commands.train_arguments(folder), env=cache)
    assert done.returncode == 0, done.stderr
    assert "going on from stage2 step" in done.stdout
    assert_same_bits(run_folder, folder)
    logs = [
        [
            {k: v for k, v in json.loads(line).items() if k != "seconds"}
            for line in (f / "metrics.jsonl").read_text().splitlines()
        ]
        for f in (run_folder, folder)
    ]
    assert logs[0] == logs[1]


def test_sigterm_saves_and_exits_and_a_second_process_is_refused(tmp_path, cache):
    folder = tmp_path / "terminated"
    endless = "--config.stage1.steps=1000000"
    process = start(folder, cache, endless)
    wait_for((folder / "config.json").exists, process)
    second = commands.run("train", *commands.train_arguments(folder, endless), env=cache)
    assert second.returncode == 1 and "another process is at work" in second.stderr
    wait_for((folder / "checkpoints" / "stage1" / "2").exists, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 143, errors
    assert "saved; the same command goes on" in errors
    names = [p for p in (folder / "checkpoints").rglob("*") if p.name.isdigit()]
    assert names


def test_a_checkpoint_opens_on_another_number_of_devices(run_folder, tmp_path, cache):
    folder = tmp_path / "devices"
    shutil.copytree(run_folder, folder)
    shutil.rmtree(folder / "checkpoints" / "stage3")
    four = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", **cache}
    done = commands.run("train", *commands.train_arguments(folder), env=four)
    assert done.returncode == 0, done.stderr
    assert "4 cpu device(s)" in done.stdout and "going on from stage2 step 6" in done.stdout
    # Written by four devices, read by the one of this process.
    assert jaxvsnerf.load(folder).mode == "fused"
    assert not (folder / "checkpoints" / "broken").exists()


def test_a_checkpoint_of_another_format_is_refused_and_stays(run_folder, tmp_path, monkeypatch):
    shutil.copytree(run_folder / "checkpoints", tmp_path / "checkpoints")
    monkeypatch.setattr(checkpoints_module, "FORMAT_VERSION", 2)
    checkpoints = Checkpoints(tmp_path / "checkpoints", STAGES)
    with pytest.raises(ValueError, match="expected checkpoint format 2, got 1"):
        checkpoints.restore_newest(lambda _: None)
    assert checkpoints.steps("stage3") == [4, 6]


def test_a_broken_newest_checkpoint_falls_back_to_the_one_before(run_folder, tmp_path, cache):
    folder = tmp_path / "broken"
    shutil.copytree(run_folder, folder)
    newest = folder / "checkpoints" / "stage3" / "6"
    for file in newest.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    done = commands.run("train", *commands.train_arguments(folder), env=cache)
    assert done.returncode == 0, done.stderr
    assert "cannot be read" in done.stderr and "going on from stage3 step 4" in done.stdout
    assert (folder / "checkpoints" / "broken" / "stage3-6").is_dir()
    assert_same_bits(run_folder, folder)


def test_when_no_checkpoint_can_be_read_training_does_not_silently_start_again(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", STAGES)
    (tmp_path / "checkpoints").mkdir()
    checkpoints.save("stage1", TrainState(np.int32(3), {"w": np.zeros(9, np.float32)}, None, None))
    for file in (tmp_path / "checkpoints" / "stage1" / "3").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with pytest.raises(BrokenCheckpoint, match="none of the 1 checkpoints could be read"):
        checkpoints.restore_newest(lambda _: None)
    assert (tmp_path / "checkpoints" / "broken" / "stage1-3").is_dir()


def test_an_empty_surface_names_the_flag_value_that_gives_one(run_folder, tmp_path, cache):
    folder = tmp_path / "surface"
    shutil.copytree(run_folder, folder)
    done = commands.run("export", f"--workdir={folder}", "--level=1e6", env=cache)
    assert done.returncode == 1 and "no surface at level" in done.stderr
    level = done.stderr.split("level=")[1].split()[0]
    done = commands.run("export", f"--workdir={folder}", f"--level={level}", env=cache)
    assert done.returncode == 0, done.stderr


def test_another_config_in_the_same_workdir_is_refused_with_a_diff(run_folder, cache):
    before = sorted((p, p.stat().st_mtime_ns) for p in run_folder.rglob("*") if p.is_file())
    done = commands.run(
        "train", *commands.train_arguments(run_folder, "--config.stage1.steps=9"), env=cache
    )
    assert done.returncode == 1
    assert "stage1.steps: 6 -> 9" in done.stderr
    after = sorted((p, p.stat().st_mtime_ns) for p in run_folder.rglob("*") if p.is_file())
    assert [p for p in after if p[0].name != ".lock"] == [p for p in before if p[0].name != ".lock"]


def test_a_loss_that_is_not_finite_names_step_stage_and_last_checkpoint(tmp_path, cache):
    done = commands.run(
        "train",
        *commands.train_arguments(
            tmp_path / "diverged", "--config.stage2.lr_init=1e30", "--config.loss.kind=mse"
        ),
        env=cache,
    )
    assert done.returncode == 1
    assert "not finite at step" in done.stderr
    assert "of stage2; last good checkpoint: stage" in done.stderr
    assert Checkpoints(tmp_path / "diverged" / "checkpoints", STAGES).steps("stage1") == [4, 6]


def test_a_full_disk_is_a_clear_error_and_loses_nothing(run_folder, tmp_path, cache):
    folder = tmp_path / "full"
    shutil.copytree(run_folder, folder)
    shutil.rmtree(folder / "checkpoints" / "stage3")
    # Files may not grow beyond 2 kB, as on a disk that fills up while writing.
    shell = "trap '' XFSZ; ulimit -f 2; exec \"$@\""
    done = subprocess.run(
        ["bash", "-c", shell, "-", *commands.command("train", *commands.train_arguments(folder))],
        capture_output=True,
        text=True,
        env={**commands.environment(), "JAX_ENABLE_COMPILATION_CACHE": "false"},
        cwd=commands.ROOT,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the checkpoint of stage3 at step 2 could not be written")
    assert len(done.stderr.splitlines()) == 1
    assert "last good checkpoint: stage2 step 6" in done.stderr
    assert not list((folder / "checkpoints").rglob("*tmp*"))
    assert Checkpoints(folder / "checkpoints", STAGES).steps("stage2") == [4, 6]
    assert jaxvsnerf.load(folder).mode == "canonical"


def test_a_disk_without_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    state = TrainState(np.int32(3), {"w": np.zeros(1000, np.float32)}, None, None)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    checkpoints = Checkpoints(tmp_path / "checkpoints", STAGES)
    with pytest.raises(OSError, match="stage1 at step 3 .*No space left.*checkpoint: none"):
        checkpoints.save("stage1", state)
    assert not list(tmp_path.iterdir())


def png(path: Path, width: int, height: int, value: int = 255) -> Path:
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[height // 4 : -height // 4, width // 4 : -width // 4] = value
    Image.fromarray(pixels).save(path)
    return path


def strip_overrides(path):
    return ["--config.data.kind=strip", f"--config.data.path={path}", "--config.data.views=()"]


def png_chunk(name: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum


def bad_transforms(folder: Path):
    """Broken transforms.json files: name -> (overrides, message)."""
    png(folder / "frame.png", 16, 16, 0)
    png(folder.parent / "outside.png", 16, 16, 0)
    pose = np.eye(4)
    pose[2, 3] = 4.0
    cases = {
        "NaN in a pose": (
            lambda f: f["transform_matrix"][0].__setitem__(0, float("nan")),
            "NaN",
        ),
        "not a rotation": (lambda f: f["transform_matrix"][0].__setitem__(0, 2.0), "rotation"),
        "a missing file": (lambda f: f.update(file_path="gone"), "gone"),
        "a path that leaves the folder": (lambda f: f.update(file_path="../outside"), "outside"),
    }
    made = {}
    for index, (name, (damage, message)) in enumerate(cases.items()):
        frame = {"file_path": "frame", "transform_matrix": pose.tolist()}
        damage(frame)
        path = folder / f"transforms_{index}.json"
        path.write_text(json.dumps({"camera_angle_x": 0.7, "frames": [frame]}))
        overrides = ["--config.data.kind=transforms", f"--config.data.path={path}"]
        made[name] = (overrides, message)
    return made


def bad_inputs(folder: Path):
    """name -> (overrides, what the message must say)."""
    folder.mkdir()
    wide = png(folder / "wide.png", 4000, 256, 0)
    truncated = folder / "truncated.png"
    truncated.write_bytes(wide.read_bytes()[:500])
    empty = folder / "empty.png"
    empty.touch()
    white = png(folder / "white.png", 256, 16)
    good = folder / "good.png"
    strip = np.full((16, 16, 16, 3), 255, np.uint8)
    strip[:, 5:11, 5:11] = 40
    Image.fromarray(strip.swapaxes(0, 1).reshape(16, 256, 3)).save(good)
    huge = folder / "huge.png"
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    huge.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks))
    return {
        "a header of 60,000 x 60,000": (strip_overrides(huge), "60000"),
        **bad_transforms(folder),
        "strip of a wrong width": (strip_overrides(wide), "4000"),
        "truncated": (strip_overrides(truncated), "truncated.png"),
        "0 bytes": (strip_overrides(empty), "empty.png"),
        "all white": (strip_overrides(white), "shows no object"),
        "absent": (strip_overrides(folder / "absent.png"), "absent.png"),
        "view out of range": (
            [*strip_overrides(good)[:2], "--config.data.views=(0,16)"],
            "16",
        ),
        "unknown override": (["--config.stage1.setps=3"], "setps"),
        "mistyped override": (["--config.stage1.steps=many"], "many"),
        "unknown argument": (["stray"], "stray"),
    }


def test_bad_input_is_one_clear_line_and_nothing_is_written(tmp_path):
    for name, (overrides, message) in bad_inputs(tmp_path / "given").items():
        workdir = tmp_path / "run"
        done = commands.run("train", *commands.train_arguments(workdir, *overrides))
        assert done.returncode in (1, 2), (name, done.stderr)
        assert message in done.stderr, (name, done.stderr)
        assert "Traceback" not in done.stderr, (name, done.stderr)
        assert not workdir.exists(), name


def test_a_missing_extra_is_said_before_anything_happens(tmp_path):
    (tmp_path / "trimesh.py").write_text("raise ImportError('no trimesh here')\n")
    path = os.pathsep.join([str(tmp_path), str(commands.ROOT)])
    done = commands.run(
        "train", *commands.train_arguments(tmp_path / "run"), env={"PYTHONPATH": path}
    )
    assert done.returncode == 1
    assert "pip install 'jaxvsnerf[export]'" in done.stderr and "trimesh" in done.stderr
    assert not (tmp_path / "run").exists()


def test_commands_without_a_run_say_so(tmp_path):
    for name in ("evaluate", "render", "export", "report"):
        done = commands.run(name, f"--workdir={tmp_path}")
        assert done.returncode == 1 and "train there first" in done.stderr


def test_the_package_imports_silently_touching_no_device():
    script = (
        "import sys, time, jax, flax.linen, flax.struct\n"
        "import jax._src.xla_bridge as bridge\n"
        "before, start = set(sys.modules), time.process_time()\n"
        "import jaxvsnerf, jaxvsnerf.train\n"
        "assert time.process_time() - start < 2, 'slow to import'\n"
        "assert not bridge._backends, 'a device was touched'\n"
        "new = {m.split('.')[0] for m in set(sys.modules) - before}\n"
        "heavy = new & {'orbax', 'tensorstore', 'trimesh', 'skimage', 'jinja2', 'imageio_ffmpeg'}\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [commands.command("train")[0], "-c", script],
        capture_output=True,
        text=True,
        env=commands.environment(),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stderr


def test_the_readmes_example_runs_on_a_finished_run(run_folder, tmp_path):
    text = (commands.ROOT / "README.md").read_text()
    script = text.split("```python\n")[1].split("```")[0]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "quickstart").symlink_to(run_folder)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=commands.environment(),
    )
    assert done.returncode == 0, done.stderr
    assert "(2, 48, 64, 3) (2, 48, 64) (5,)" in done.stdout
