"""Captures with poses as users have them; each function is as in `inputs.py`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from experiments.faults.inputs import (
    FOCAL,
    HEIGHT,
    WIDTH,
    Flags,
    data_flags,
    save,
    to_bytes,
    with_alpha,
)
from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.simulate.toy import render_toy
from jaxvsnerf.types import Cameras


def capture_views(
    elevations: Sequence[float] = (30.0, -10.0, 55.0), distance: float = 1.5, x: float = 0.0
) -> tuple[Cameras, np.ndarray, np.ndarray]:
    """Twelve cameras round the toy, 8-bit pictures and masks.

    Args:
      elevations: in degrees, taken in turn.
      distance: to the origin, in sides of the cube.
      x: shift of the principal point in pixels.
    """
    azimuth = [30.0 * view for view in range(12)]
    angles = list(elevations) * (12 // len(elevations))
    cameras = orbit_cameras(azimuth, angles, distance, FOCAL, WIDTH, HEIGHT)
    shift = np.float32([[0, 0, x], [0, 0, 0], [0, 0, 0]])
    cameras = cameras.replace(intrinsics=np.array(cameras.intrinsics) + shift)
    images, masks = render_toy(cameras, supersample=2)
    return cameras, to_bytes(images), to_bytes(masks)


def square(w2c: np.ndarray) -> np.ndarray:
    """[V, 4, 4] matrices of [V, 3, 4]."""
    full = np.tile(np.eye(4), (len(w2c), 1, 1))
    full[:, :3] = w2c
    return full


def frames(cameras: Cameras, scale: float = 1.0) -> list[dict]:
    """Entries of a transforms file for pictures images/0000.png and so on."""
    c2w = np.linalg.inv(square(cameras.w2c)) @ np.diag([1.0, -1.0, -1.0, 1.0])
    c2w[:, :3, 3] *= scale
    return [
        {"file_path": f"images/{view:04d}.png", "transform_matrix": pose.tolist()}
        for view, pose in enumerate(c2w)
    ]


def write_transforms(folder: Path, entries: list[dict], **fields: object) -> Flags:
    """Writes transforms.json; `fields` replace or extend the intrinsics."""
    meta = dict(fl_x=FOCAL, fl_y=FOCAL, cx=WIDTH / 2, cy=HEIGHT / 2, w=WIDTH, h=HEIGHT)
    text = json.dumps({**meta, **fields, "frames": entries})
    (folder / "transforms.json").write_text(text)
    return data_flags(path=folder)


def cut_out_capture(folder: Path, **kind: object) -> list[dict]:
    """Writes RGBA pictures of a capture; returns the frames."""
    cameras, pictures, masks = capture_views(**kind)
    for view, picture in enumerate(with_alpha(pictures, masks)):
        save(folder / "images" / f"{view:04d}.png", picture)
    return frames(cameras)


def capture(folder: Path) -> Flags:
    """Twelve cut-out pictures with poses."""
    return write_transforms(folder, cut_out_capture(folder))


def millimetres(folder: Path) -> Flags:
    """The capture with poses in millimetres."""
    entries = cut_out_capture(folder)
    for entry in entries:
        pose = np.array(entry["transform_matrix"])
        pose[:3, 3] *= 1000
        entry["transform_matrix"] = pose.tolist()
    return write_transforms(folder, entries)


def cropped(folder: Path) -> Flags:
    """A capture from so near that the pictures' border cuts the object in most views."""
    entries = cut_out_capture(folder, distance=1.1, x=16)
    return write_transforms(folder, entries, cx=WIDTH / 2 + 16)


def backslashes(folder: Path) -> Flags:
    """The capture with paths as Windows writes them, and a byte-order mark."""
    entries = cut_out_capture(folder)
    for entry in entries:
        entry["file_path"] = ".\\" + entry["file_path"].replace("/", "\\")
    flags = write_transforms(folder, entries)
    text = (folder / "transforms.json").read_bytes()
    (folder / "transforms.json").write_bytes(b"\xef\xbb\xbf" + text)
    return flags


def tiny_distortion(folder: Path) -> Flags:
    """The capture with a lens distortion of 3e-17, which an optimiser left."""
    return write_transforms(folder, cut_out_capture(folder), k1=-3e-17, k2=1e-18)


def larger_intrinsics(folder: Path) -> Flags:
    """The capture with the intrinsics of pictures four times as large."""
    fields = dict(fl_x=4 * FOCAL, fl_y=4 * FOCAL, cx=2 * WIDTH, cy=2 * HEIGHT, w=None, h=None)
    return write_transforms(folder, cut_out_capture(folder), **fields)


def masked_capture(folder: Path, masks_as) -> Flags:
    """Pictures on white with mask files; `masks_as` changes the 8-bit masks."""
    cameras, pictures, masks = capture_views()
    entries = frames(cameras)
    for view, (picture, mask) in enumerate(zip(pictures, masks, strict=True)):
        save(folder / "images" / f"{view:04d}.png", picture)
        save(folder / "masks" / f"{view:04d}.png", masks_as(mask))
        entries[view]["mask_path"] = f"masks/{view:04d}.png"
    return write_transforms(folder, entries)


def masks_of_ones(folder: Path) -> Flags:
    """Masks of 0 and 1."""
    return masked_capture(folder, lambda mask: np.uint8(mask > 127))


def masks_inverted(folder: Path) -> Flags:
    """Masks in which the object is black."""
    return masked_capture(folder, lambda mask: 255 - mask)


def masks_in_alpha(folder: Path) -> Flags:
    """Mask files that are white and hold the mask in their alpha channel."""
    return masked_capture(
        folder, lambda mask: np.dstack([np.full((*mask.shape, 3), 255), mask]).astype(np.uint8)
    )


def room_capture(folder: Path) -> tuple[Cameras, list[dict]]:
    """Pictures before a busy background, JPEG, with mask files masks/v00.png and so on."""
    cameras, pictures, masks = capture_views((30.0, -10.0))
    room = np.random.default_rng(0).integers(0, 256, pictures.shape, np.uint8)
    share = masks[..., None] / 255.0
    entries = frames(cameras)
    for view, picture in enumerate(to_bytes((pictures * share + room * (1 - share)) / 255.0)):
        save(folder / "images" / f"v{view:02d}.jpg", picture, quality=95)
        save(folder / "masks" / f"v{view:02d}.png", masks[view])
        entries[view]["file_path"] = f"images/v{view:02d}.jpg"
        entries[view]["mask_path"] = f"masks/v{view:02d}.png"
    return cameras, entries


def one_mask_missing(folder: Path) -> Flags:
    """The capture before a busy background; the first frame names no mask."""
    _, entries = room_capture(folder)
    del entries[0]["mask_path"]
    return write_transforms(folder, entries)


def write_colmap(folder: Path, w2c: np.ndarray, names: Sequence[str], points: bool = True) -> None:
    """Writes a COLMAP model as text.

    Args:
      folder: the model's folder.
      w2c: [V, 3, 4] or [V, 4, 4].
      names: V file names.
      points: whether to write an empty points3D.txt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    camera = f"1 PINHOLE {WIDTH} {HEIGHT} {FOCAL} {FOCAL} {WIDTH / 2} {HEIGHT / 2}\n"
    (folder / "cameras.txt").write_text(camera)
    lines = []
    for index, (matrix, name) in enumerate(zip(w2c, names, strict=True)):
        x, y, z, w = Rotation.from_matrix(matrix[:3, :3]).as_quat()
        numbers = (index + 1, w, x, y, z, *matrix[:3, 3], 1)
        lines.append(" ".join(map(str, numbers)) + f" {name}\n\n")
    (folder / "images.txt").write_text("".join(lines))
    if points:
        (folder / "points3D.txt").write_text("")


def colmap_masks(folder: Path) -> Flags:
    """A COLMAP model before a busy background; masks are v00.png for v00.jpg."""
    cameras, _ = room_capture(folder)
    names = [f"v{view:02d}.jpg" for view in range(12)]
    write_colmap(folder / "sparse" / "0", np.asarray(cameras.w2c, float), names)
    return data_flags(path=folder)


def colmap_capture(folder: Path) -> tuple[np.ndarray, list[str]]:
    """Cut-out pictures for a COLMAP model; returns [V, 4, 4] w2c and the names."""
    cameras, pictures, masks = capture_views((35.0, 10.0))
    names = [f"v{view:02d}.png" for view in range(12)]
    for name, picture in zip(names, with_alpha(pictures, masks), strict=True):
        save(folder / "images" / name, picture)
    return square(np.asarray(cameras.w2c, float)), names


def colmap_fragments(folder: Path) -> Flags:
    """Two COLMAP models: three pictures in sparse/0, twelve in sparse/1."""
    w2c, names = colmap_capture(folder)
    write_colmap(folder / "sparse" / "0", w2c[:3], names[:3])
    write_colmap(folder / "sparse" / "1", w2c, names)
    return data_flags(path=folder)


def colmap_no_points(folder: Path) -> Flags:
    """A COLMAP model without points."""
    w2c, names = colmap_capture(folder)
    write_colmap(folder / "sparse" / "0", w2c, names, points=False)
    return data_flags(path=folder)


def colmap_tilted(folder: Path) -> Flags:
    """A COLMAP model in the frame of its first camera, as COLMAP writes it."""
    w2c, names = colmap_capture(folder)
    write_colmap(folder / "sparse" / "0", w2c @ np.linalg.inv(w2c[0]), names)
    return data_flags(path=folder)
