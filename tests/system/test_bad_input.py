"""Bad input is one clear line and an exit status other than 0."""

import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests import commands

STAGES = ("stage1", "stage2", "stage3")


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
        "unknown override": (
            ["--config.stage1.setps=3"],
            """there is no setting 'setps'. Did you mean "steps" instead of "setps"?""",
        ),
        "mistyped override": (["--config.stage1.steps=many"], "many"),
        "unknown argument": (["stray"], "stray"),
    }


def test_bad_input_is_one_clear_line_and_nothing_is_written(tmp_path):
    workdir, inputs = tmp_path / "run", bad_inputs(tmp_path / "given")
    calls = [("train", *commands.train_arguments(workdir, *given)) for given, _ in inputs.values()]
    refused = commands.run_each(*calls)
    for (name, (_, message)), done in zip(inputs.items(), refused, strict=True):
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
    names = ("evaluate", "render", "export", "report")
    for done in commands.run_each(*((name, f"--workdir={tmp_path}") for name in names)):
        assert done.returncode == 1 and "train there first" in done.stderr
