"""The doors of the product: files that it reads, right ones, and how each is read and judged.

A reader raises what it raises. What it returns without an error is judged: finite numbers, shapes
that belong together, indices in range.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh
from PIL import Image

from experiments.faults import captures, inputs
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.data.meshes import read_surface
from jaxvsnerf.data.rigs import SYNCDREAMER
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.generation.state_files import read_state
from jaxvsnerf.metrics.lpips import load_lpips, weight_shapes
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.run.remake import report_folder
from jaxvsnerf.run.saved import load_stages
from jaxvsnerf.run.workdir import load_asked, load_settings, save_config
from jaxvsnerf.types import Cameras, ViewSet

SV3D = dict(rig="sv3d", distance=1.65, input_elevation_deg=10)
PINHOLE = 1  # number of COLMAP's camera model


class Garbage(Exception):
    """What was read without an error is no such thing."""


class Door(NamedTuple):
    """One kind of file.

    Attributes:
      make: writes right files into an empty folder.
      targets: pattern of the files to damage, one of them in each case.
      read: reads the folder's files as the product does, and judges them.
      times: share of the cases, relative to the other doors'.
    """

    make: Callable[[Path], object]
    targets: str
    read: Callable[[Path], None]
    times: int = 2


def judge(right: bool, words: str) -> None:
    """Raises Garbage with words on what is wrong."""
    if not right:
        raise Garbage(words)


def judge_cameras(cameras: Cameras, count: int) -> None:
    """Finite cameras, as many as views, with rotations and positive focal lengths."""
    intrinsics, w2c = np.asarray(cameras.intrinsics), np.asarray(cameras.w2c)
    judge(intrinsics.shape == (count, 3, 3) and w2c.shape == (count, 3, 4), "shape of cameras")
    judge(bool(np.isfinite(intrinsics).all() and np.isfinite(w2c).all()), "cameras not finite")
    rotation = w2c[:, :, :3].astype(np.float64)
    error = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max()
    judge(float(error) < 2e-2, "cameras that are no rotations")
    judge(bool((intrinsics[:, [0, 1], [0, 1]] > 0).all()), "focal lengths not positive")


def judge_views(views: ViewSet) -> None:
    """Pictures and masks in [0, 1], as many as cameras."""
    count = len(views.names)
    judge(views.images.ndim == 4 and len(views.images) == count, "shape of pictures")
    for values in (views.images, views.masks):
        if values is not None:
            judge(bool(np.isfinite(values).all()), "pixels not finite")
            judge(values.min() >= 0 and values.max() <= 1 + 1e-6, "pixels out of range")
    judge_cameras(views.cameras, count)


def read_views(kind: str, name: str = "", **settings: object) -> Callable[[Path], None]:
    """A reader of pictures with the settings of the section `data`."""

    def read(folder: Path) -> None:
        spec = DataSpec(kind=kind, path=str(folder / name), **settings)
        dataset = load_dataset(spec)
        judge_views(dataset.inputs)
        if dataset.truth is not None:
            judge_views(dataset.truth)

    return read


# Files of pictures.


def make_folder(folder: Path) -> None:
    """Cut-outs of a rig, a file each."""
    pictures, masks = inputs.rig_views(SYNCDREAMER)
    for view, picture in enumerate(inputs.with_alpha(pictures, masks)):
        inputs.save(folder / f"{view:03d}.png", picture)


def make_video(folder: Path) -> None:
    """Sixteen frames as MP4."""
    import imageio_ffmpeg

    frames = inputs.rig_views(SYNCDREAMER)[0]
    writer = imageio_ffmpeg.write_frames(str(folder / "views.mp4"), (64, 64), fps=8)
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()


def make_masked(folder: Path) -> None:
    """A capture with a transforms file and mask files."""
    captures.masked_capture(folder, lambda mask: mask)


def make_colmap(folder: Path) -> None:
    """A COLMAP model as text, with pictures."""
    captures.colmap_no_points(folder)


def make_colmap_binary(folder: Path) -> None:
    """The same model in COLMAP's binary format."""
    make_colmap(folder)
    model = folder / "sparse" / "0"
    width, height, *lens = model.joinpath("cameras.txt").read_text().split()[2:]
    numbers = struct.pack("<QiiQQ", 1, 1, PINHOLE, int(width), int(height))
    (model / "cameras.bin").write_bytes(numbers + struct.pack("<4d", *map(float, lens)))
    lines = [line.split() for line in model.joinpath("images.txt").read_text().splitlines() if line]
    images = struct.pack("<Q", len(lines))
    for number, *pose, camera, name in lines:
        images += struct.pack("<i7di", int(number), *map(float, pose), int(camera))
        images += name.encode() + b"\0" + struct.pack("<Q", 0)
    (model / "images.bin").write_bytes(images)
    for name in ("cameras.txt", "images.txt"):
        (model / name).unlink()


# Meshes and weights.


def make_meshes(folder: Path) -> None:
    """A sphere in four formats."""
    sphere = trimesh.creation.icosphere(2, 0.4)
    for suffix in ("obj", "ply", "glb", "stl"):
        sphere.export(folder / f"mesh.{suffix}")


def read_mesh(folder: Path) -> None:
    """Every mesh of the folder, one of them damaged."""
    for path in sorted(folder.glob("mesh.*")):
        vertices, faces = read_surface(path)
        judge(bool(np.isfinite(vertices).all()), "vertices not finite")
        judge(len(faces) > 0, "no faces")
        judge(bool((faces >= 0).all() and (faces < len(vertices)).all()), "faces of no vertices")


def make_lpips(folder: Path) -> None:
    """Weights of SqueezeNet, random and small numbers."""
    draw = np.random.default_rng(0)
    shapes = weight_shapes("squeeze").items()
    weights = {k: np.abs(draw.normal(0, 0.05, shape)).astype(np.float16) for k, shape in shapes}
    np.savez(folder / "lpips.npz", **weights)


def read_lpips(folder: Path) -> None:
    """The weights."""
    model = load_lpips(folder / "lpips.npz")
    for name, shape in weight_shapes(model.network).items():
        judge(model.weights[name].shape == shape, "shapes of weights")
        judge(bool(np.isfinite(model.weights[name]).all()), "weights not finite")


def make_safetensors(folder: Path) -> None:
    """Three arrays."""
    from safetensors.numpy import save_file

    draw = np.random.default_rng(0)
    arrays = {
        k: draw.normal(size=s).astype(np.float32) for k, s in zip("abc", (3, 5, 700), strict=True)
    }
    save_file(arrays, folder / "model.safetensors")


def read_safetensors(folder: Path) -> None:
    """All arrays."""
    state = read_state(folder / "model.safetensors")
    for name in list(state):
        judge(isinstance(state[name], np.ndarray), "no array")


# Files of a run; `run.py` puts a finished run beside the doors.


def copy_run(source: Path) -> Callable[[Path], None]:
    """Copies a finished run."""

    def make(folder: Path) -> None:
        shutil.copytree(source, folder, dirs_exist_ok=True)

    return make


def read_run(folder: Path) -> None:
    """Settings, scene and checkpoints, as `export`, `render` and `view` read them."""
    for field in load_stages(str(folder)).values():
        judge_cameras(field.cameras, len(np.asarray(field.cameras.w2c)))
        judge(bool(np.isfinite(np.asarray(field.background)).all()), "background not finite")


def read_page(folder: Path) -> None:
    """All files of a run that the page shows."""
    report_folder(str(folder))
    judge((folder / "report.html").stat().st_size > 0, "no page")


def make_settings(folder: Path) -> None:
    """The settings of a run, at their recommended values."""
    save_config(folder, default_config(), default_config())


def read_settings(folder: Path) -> None:
    """The settings as they were given and as they were resolved."""
    load_settings(folder)
    load_asked(folder)


def sheet(kind: str) -> Callable[[Path], None]:
    """A writer of the strip in a format of pictures."""

    def make(folder: Path) -> None:
        pixels = inputs.row(inputs.rig_views(SYNCDREAMER)[0])
        Image.fromarray(pixels).save(folder / f"strip.{kind}", quality=90)

    return make


def doors(run: Path) -> dict[str, Door]:
    """All doors by name.

    Args:
      run: folder of a finished run.
    """
    finished = copy_run(run)
    strips = {
        f"strip_{kind}": Door(sheet(kind), "strip.*", read_views("strip", f"strip.{kind}"))
        for kind in ("png", "jpg", "webp")
    }
    return {
        **strips,
        "folder": Door(make_folder, "*.png", read_views("folder")),
        "animation": Door(inputs.animated, "*.webp", read_views("video", "frames.webp", **SV3D)),
        "video": Door(make_video, "*.mp4", read_views("video", "views.mp4")),
        "transforms": Door(make_masked, "transforms.json", read_views("transforms"), 6),
        "capture": Door(make_masked, "**/*.png", read_views("transforms")),
        "colmap": Door(make_colmap, "sparse/**/*.txt", read_views("colmap"), 4),
        "colmap_binary": Door(make_colmap_binary, "sparse/**/*.bin", read_views("colmap"), 4),
        "meshes": Door(make_meshes, "mesh.*", read_mesh, 6),
        "lpips": Door(make_lpips, "lpips.npz", read_lpips, 4),
        "safetensors": Door(make_safetensors, "*.safetensors", read_safetensors, 4),
        "settings": Door(make_settings, "*.json", read_settings, 4),
        "run": Door(finished, "[crs][eco]*.json", read_run, 2),
        "page": Door(finished, "**/*.json*", read_page, 2),
    }
