"""Inputs as users have them: right ones in unusual shapes, and wrong ones that look right.

Each function writes the files of one case of the toy into a folder and returns the flags that
name them to `train`. What a case is about stands in `cases.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from jaxvsnerf.data.rigs import SYNCDREAMER, WONDER3D, Rig, complete_rig, rig_cameras
from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.simulate.toy import render_toy

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
