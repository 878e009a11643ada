"""Inputs as users have them: right ones in unusual shapes, and wrong ones that look right.

Each function writes the files of one case of the toy into a folder and returns the flags that
name them to `train`. What a case is about stands in `cases.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from jaxvsnerf.data.rigs import SYNCDREAMER, WONDER3D, Rig, complete_rig, rig_cameras
from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.simulate.toy import render_toy
from jaxvsnerf.types import Cameras

SIDE = 64
WIDTH, HEIGHT, FOCAL = 64, 48, 52.0
Flags = list[str]


def data_flags(**values: object) -> Flags:
    """Flags of the section `data`."""
    return [f"--config.data.{name}={value}" for name, value in values.items()]


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as 8-bit numbers."""
    return np.uint8(255 * np.asarray(values) + 0.5)


def save(path: Path, pixels: np.ndarray, **options: object) -> None:
    """Writes 8-bit pixels as a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def row(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures side by side."""
    return np.concatenate(list(pictures), 1)


def rig_views(rig: Rig, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """8-bit pictures [V, side, side, 3] on white and masks [V, side, side] of a complete rig."""
    images, masks = render_toy(rig_cameras(rig, side, side), supersample=2)
    return to_bytes(images), to_bytes(masks)


def with_alpha(pictures: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """RGBA pictures."""
    return np.concatenate([pictures, alphas[..., None]], -1)


# Pictures of a rig.


def strip(folder: Path) -> Flags:
    """Sixteen views on white."""
    save(folder / "strip.png", row(rig_views(SYNCDREAMER)[0]))
    return data_flags(path=folder / "strip.png")


def strip_jpeg(folder: Path) -> Flags:
    """The strip as a JPEG of quality 75."""
    save(folder / "strip.jpg", row(rig_views(SYNCDREAMER)[0]), quality=75)
    return data_flags(path=folder / "strip.jpg")


def strip_webp(folder: Path) -> Flags:
    """The strip as a lossy WebP of quality 80."""
    save(folder / "strip.webp", row(rig_views(SYNCDREAMER)[0]), quality=80)
    return data_flags(path=folder / "strip.webp")


def nearly_opaque(folder: Path) -> Flags:
    """The strip with an alpha channel of 255, and of 254 in a few pixels of the first row."""
    picture = row(rig_views(SYNCDREAMER)[0])
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    alpha[0, ::97] = 254
    save(folder / "strip.png", with_alpha(picture, alpha))
    return data_flags(path=folder / "strip.png")


def rounded_corners(folder: Path) -> Flags:
    """The strip of views whose corners are cut off transparently, as by an interface's frame."""
    pictures, _ = rig_views(SYNCDREAMER)
    y, x = np.abs(np.mgrid[:SIDE, :SIDE] - 0.5 * (SIDE - 1)) - (0.5 * SIDE - 6)
    alpha = np.where((x > 0) & (y > 0) & (x**2 + y**2 > 36), 0, 255).astype(np.uint8)
    views = [np.dstack([picture, alpha]) for picture in pictures]
    save(folder / "strip.png", row(views))
    return data_flags(path=folder / "strip.png")


def framed(folder: Path) -> Flags:
    """The strip of views with a thin grey line round each."""
    pictures, _ = rig_views(SYNCDREAMER)
    for edge in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
        pictures[edge] = 120
    save(folder / "strip.png", row(pictures))
    return data_flags(path=folder / "strip.png")


def one_opaque(folder: Path) -> Flags:
    """Sixteen cut-outs, of which the sixth was not cut out."""
    pictures, masks = rig_views(SYNCDREAMER)
    masks[5] = 255
    for view, picture in enumerate(with_alpha(pictures, masks)):
        save(folder / "views" / f"{view:03d}.png", picture)
    return data_flags(path=folder / "views")


def four_one_opaque(folder: Path) -> Flags:
    """Four of these views, one of them not cut out."""
    return [*one_opaque(folder), *data_flags(views="(1,5,9,13)")]


def mixed(folder: Path) -> Flags:
    """Wonder3D's six views as RGBA, of which the first alone was cut out."""
    pictures, masks = rig_views(WONDER3D)
    masks[1:] = 255
    for name, picture in zip(WONDER3D.views, with_alpha(pictures, masks), strict=True):
        save(folder / "views" / f"rgb_000_{name}.png", picture)
    return data_flags(path=folder / "views", rig="wonder3d")


def inverted_alpha(folder: Path) -> Flags:
    """Sixteen views whose alpha is opaque where the object is not."""
    pictures, masks = rig_views(SYNCDREAMER)
    save(folder / "strip.png", row(with_alpha(pictures, 255 - masks)))
    return data_flags(path=folder / "strip.png")


def black_view(folder: Path) -> Flags:
    """Sixteen views, of which the fourth is black."""
    pictures, _ = rig_views(SYNCDREAMER)
    pictures[3] = 0
    for view, picture in enumerate(pictures):
        save(folder / "views" / f"{view:03d}.png", picture)
    return data_flags(path=folder / "views")


def turntable(folder: Path, count: int = 12, side: int = SIDE) -> tuple[np.ndarray, Flags]:
    """Pictures of a turntable and the flags of its cameras."""
    azimuth = [360.0 / count * view for view in range(count)]
    focal = 0.5 * side / np.tan(np.deg2rad(20.0))
    pictures = to_bytes(
        render_toy(orbit_cameras(azimuth, 20.0, 1.5, focal, side, side), supersample=2)[0]
    )
    angles = f"({','.join(f'{angle:g}' for angle in azimuth)})"
    rig = dict(rig="orbit", elevation_deg="(20,)", distance=1.5, fov_deg=40, azimuth_deg=angles)
    return pictures, data_flags(path=folder / "views", **rig)


def sideways(folder: Path) -> Flags:
    """Twelve photos stored sideways, which their EXIF orientation turns upright."""
    pictures, flags = turntable(folder)
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer turns the picture clockwise by 90 degrees
    for view, picture in enumerate(pictures):
        save(folder / "views" / f"{view:02d}.jpg", np.rot90(picture), quality=95, exif=exif)
    return flags


def many(folder: Path) -> Flags:
    """A turntable of 120 small views."""
    pictures, flags = turntable(folder, 120, 24)
    for view, picture in enumerate(pictures):
        save(folder / "views" / f"{view:03d}.png", picture)
    return flags


def too_near(folder: Path) -> Flags:
    """Zero123++'s sheet with the distance of another program, whose object is larger."""
    pictures, _ = rig_views(complete_rig("zero123pp-v1.2"))
    save(folder / "sheet.png", np.concatenate([row(pictures[k : k + 2]) for k in (0, 2, 4)]))
    return data_flags(path=folder / "sheet.png", rig="zero123pp-v1.2", distance=4)


def four_strips(folder: Path) -> Flags:
    """SyncDreamer's folder of four samples, given in place of one of them."""
    for sample in range(4):
        save(folder / "samples" / f"{sample}.png", row(rig_views(SYNCDREAMER)[0]))
    return data_flags(path=folder / "samples")


def two_by_two(folder: Path) -> Flags:
    """MVDream's four views in two rows, where its own script writes one."""
    pictures, _ = rig_views(complete_rig("mvdream", fov_deg=40, distance=1.4))
    save(folder / "sheet.png", np.concatenate([row(pictures[:2]), row(pictures[2:])]))
    return data_flags(path=folder / "sheet.png", rig="mvdream", fov_deg=40, distance=1.4)


def padded(folder: Path) -> Flags:
    """The strip with two black pixels round each view, as torchvision's make_grid writes."""
    pictures, _ = rig_views(SYNCDREAMER)
    sheet = np.zeros((SIDE + 4, 16 * (SIDE + 2) + 2, 3), np.uint8)
    for view, picture in enumerate(pictures):
        left = 2 + view * (SIDE + 2)
        sheet[2 : 2 + SIDE, left : left + SIDE] = picture
    save(folder / "grid.png", sheet)
    return data_flags(path=folder / "grid.png")


def animated(folder: Path) -> Flags:
    """SV3D's 21 frames as an animated WebP."""
    pictures, _ = rig_views(complete_rig("sv3d", distance=1.65, input_elevation_deg=10))
    first, *rest = map(Image.fromarray, pictures)
    first.save(folder / "frames.webp", save_all=True, append_images=rest, duration=100, loop=0)
    rig = dict(rig="sv3d", distance=1.65, input_elevation_deg=10)
    return data_flags(path=folder / "frames.webp", **rig)


# Captures with poses.


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
