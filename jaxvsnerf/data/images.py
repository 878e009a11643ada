"""Reads pictures from untrusted files.

Pillow opens three formats only; the size in the header is checked before a pixel is decoded.
"""

from __future__ import annotations

import math
import re
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.system.stand_ins import check_is_itself

FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# Of one picture: 16 views of 2048 x 2048 in one sheet. A file of some kilobytes can claim any size,
# and a decoded pixel takes 20 bytes for a moment and 16 later.
MAX_PIXELS = 2**26
# Of all pictures and masks that are read at once: 120 views of 1920 x 1080.
MAX_SET_PIXELS = 2**28
ORIENTATION = 0x0112  # tag of EXIF; 1 is upright
# Exceptions of Pillow's decoders on damaged files.
DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


class Picture(NamedTuple):
    """One decoded picture.

    Attributes:
      rgb: [height, width, 3] float32 in [0, 1], not composited (straight alpha).
      alpha: [height, width] float32 in [0, 1], or None if the file has no alpha.
      mask_file: whether `alpha` comes from a mask file, which says what is the object.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None
    mask_file: bool = False


def read_picture(
    path: str | Path, max_pixels: int = MAX_PIXELS, upright: bool = False, downscale: int = 1
) -> Picture:
    """Reads a PNG, JPEG or WebP file.

    Pixels are returned as stored unless `upright`: poses refer to the stored picture, whatever
    its EXIF orientation. Grey, palette, 16-bit and CMYK pictures become RGB.

    Args:
      path: PNG, JPEG or WebP file.
      max_pixels: largest width x height, checked in the header before decoding.
      upright: whether to apply the EXIF orientation.
      downscale: see `shrink_picture`.

    Returns:
      The picture.

    Raises:
      MissingFile: no such file.
      InputError: no picture of these formats, too large, truncated or damaged, or `downscale`
        does not divide the size.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no picture at {path}; give an existing PNG, JPEG or WebP file")
    check_is_itself(path)
    # Choice: a single limit and message; Pillow's own limits (a warning from 89 Mpx, an error
    # from 179 Mpx) would give other messages.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(path, formats=FORMATS)
        except Image.DecompressionBombError as error:
            raise InputError(_too_large(path, str(error), max_pixels)) from None
        except DECODER_ERRORS as error:
            raise InputError(
                f"{path} is not a readable picture: expected {', '.join(FORMATS)}, but its header "
                f"says otherwise or is damaged ({error}); convert or copy it again"
            ) from error
        with image:
            width, height = image.size
            if width * height > max_pixels:
                raise InputError(_too_large(path, f"{width} x {height} pixels", max_pixels))
            try:
                image.load()
                picture = decode(ImageOps.exif_transpose(image) if upright else image)
            except DECODER_ERRORS as error:
                raise InputError(
                    f"{path} is truncated or damaged: its header promises {width} x {height} "
                    f"pixels that cannot be decoded ({error}); copy it again"
                ) from error
    return shrink_picture(picture, downscale)


def _too_large(path: Path, came: str, max_pixels: int) -> str:
    return (
        f"{path} is too large: its header claims {came}, at most {max_pixels} pixels are "
        "read; scale it down"
    )


def decode(image: Image.Image) -> Picture:
    """Converts an image in any of Pillow's modes for these formats to a Picture."""
    if image.mode.startswith("I"):  # 16-bit grey: convert("RGB") would clip it at 255
        grey = np.asarray(image, np.float32) / 65535.0
        return Picture(np.repeat(grey[..., None], 3, axis=-1), None)
    has_alpha = image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info
    mode = "RGBA" if has_alpha else "RGB"
    # Converting to the mode that the picture has would copy the pixels.
    pixels = np.asarray(image if image.mode == mode else image.convert(mode), np.float32)
    pixels *= np.float32(1.0 / 255.0)
    return Picture(pixels[..., :3], pixels[..., 3] if has_alpha else None)


def composite(rgb: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Composites a straight-alpha picture over a colour: rgb a + background (1 - a).

    Args:
      rgb: [..., 3] in [0, 1].
      alpha: [...] in [0, 1].
      background: [3] in [0, 1].

    Returns:
      [..., 3] float32.
    """
    alpha = np.asarray(alpha, np.float32)[..., None]
    return np.asarray(rgb, np.float32) * alpha + np.asarray(background, np.float32) * (1 - alpha)


def shrink(array: np.ndarray, factor: int) -> np.ndarray:
    """Downscales a composited picture or a mask by a box filter.

    Args:
      array: [height, width] or [height, width, C].
      factor: side in pixels of the block that becomes one pixel, at least 1.

    Returns:
      [height / factor, width / factor] or [height / factor, width / factor, C] float32.

    Raises:
      InputError: `factor` does not divide the height and the width.
    """
    height, width = array.shape[:2]
    if height % factor or width % factor:
        raise InputError(
            f"data.downscale={factor} must divide the picture size, but the picture is "
            f"{width} x {height} (width x height); choose another factor or crop the pictures"
        )
    blocks = array.reshape(height // factor, factor, width // factor, factor, *array.shape[2:])
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def shrink_picture(picture: Picture, factor: int) -> Picture:
    """Downscales a picture by a box filter, so that it composites as the whole one would.

    Args:
      picture: the picture.
      factor: see `shrink`.

    Raises:
      InputError: `factor` does not divide the height and the width.
    """
    if factor == 1:
        return picture
    plain = shrink(picture.rgb, factor)
    if picture.alpha is None:
        return picture._replace(rgb=plain)
    alpha = shrink(picture.alpha, factor)
    weighed = shrink(picture.rgb * picture.alpha[..., None], factor)
    opacity = alpha[..., None]
    rgb = np.where(opacity > 0, weighed / np.maximum(opacity, np.float32(1e-6)), plain)
    return picture._replace(rgb=rgb.clip(0.0, 1.0), alpha=alpha)


def is_turned(path: Path) -> bool:
    """Whether a picture's EXIF data asks viewers to turn or mirror the picture."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            # Pillow would decode a whole PNG to look for EXIF data behind its pixels.
            if image.format == "PNG" and "exif" not in image.info:
                return False
            return image.getexif().get(ORIENTATION, 1) != 1
    # A damaged file is refused by who reads the file.
    except (*DECODER_ERRORS, Image.DecompressionBombError):
        return False


def picture_size(path: Path) -> tuple[int, int] | None:
    """(width, height) in a picture's header; None without a readable header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return image.size
    except (*DECODER_ERRORS, Image.DecompressionBombError):
        return None


def check_total(
    paths: Sequence[Path], downscale: int = 1, max_pixels: int = MAX_SET_PIXELS
) -> None:
    """Refuses pictures that are too many pixels together, before any is decoded.

    Args:
      paths: the pictures and masks of a set.
      downscale: factor by which each picture shrinks when it is read.
      max_pixels: largest sum of width x height after that, by the headers.

    Raises:
      InputError: the sum is larger.
    """
    # A file without a readable header is refused by who reads the file.
    sizes = [size for path in paths if (size := picture_size(path))]
    total = sum(width * height for width, height in sizes) // downscale**2
    if total > max_pixels:
        least = downscale * math.ceil(math.sqrt(total / max_pixels))
        raise InputError(
            f"{paths[0].parent}: the {len(paths)} pictures and masks to read have {total} pixels "
            f"together, at most {max_pixels} are kept; --config.data.downscale={least} shrinks "
            "each picture as it is read, or take fewer views"
        )


def check_inside(folder: Path, paths: Sequence[Path]) -> None:
    """Refuses links that lead out of a folder of pictures; the folder itself may be a link.

    Raises:
      InputError: a link leaves the folder; the message names the link.
    """
    root = folder.resolve()
    for path in paths:
        if not path.resolve().is_relative_to(root):
            raise InputError(
                f"{path} is a link that leaves the folder {root}: it leads to {path.resolve()}; "
                "copy the picture into the folder"
            )


def list_pictures(folder: str | Path) -> list[Path]:
    """Lists the pictures of a folder in natural order (2.png before 10.png).

    Raises:
      MissingFile: no such folder, or no picture in the folder.
      InputError: a picture is a link that leaves the folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFile(f"no folder at {folder}; give a folder of pictures")
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise MissingFile(f"no picture in {folder}; expected files ending in {', '.join(SUFFIXES)}")
    check_inside(folder, found)
    return sorted(found, key=lambda path: natural_key(path.name))


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key that compares numbers inside a name by value."""
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(p), p) if p.isdecimal() and p.isascii() else (1, 0, p.lower()) for p in parts]
