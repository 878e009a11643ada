"""Reads pictures from untrusted files.

Pillow opens three formats only; the size in the header is checked before a pixel is decoded.
"""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from jaxvsnerf.errors import InputError, MissingFile

FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_PIXELS = 100_000_000
# Exceptions of Pillow's decoders on damaged files.
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


class Picture(NamedTuple):
    """One decoded picture.

    Attributes:
      rgb: [height, width, 3] float32 in [0, 1], not composited (straight alpha).
      alpha: [height, width] float32 in [0, 1], or None if the file has no alpha.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None


def read_picture(path: str | Path, max_pixels: int = MAX_PIXELS, upright: bool = False) -> Picture:
    """Reads a PNG, JPEG or WebP file.

    Pixels are returned as stored unless `upright`: poses refer to the stored picture, whatever
    its EXIF orientation. Grey, palette, 16-bit and CMYK pictures become RGB.

    Args:
      path: PNG, JPEG or WebP file.
      max_pixels: largest width x height, checked in the header before decoding.
      upright: whether to apply the EXIF orientation.

    Returns:
      The picture.

    Raises:
      MissingFile: no such file.
      InputError: no picture of these formats, too large, truncated or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no picture at {path}; give an existing PNG, JPEG or WebP file")
    # Choice: a single limit and message; Pillow's own limits (a warning from 89 Mpx, an error
    # from 179 Mpx) would give other messages.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(path, formats=FORMATS)
        except Image.DecompressionBombError as error:
            raise InputError(_too_large(path, str(error), max_pixels)) from None
        except _DECODER_ERRORS as error:
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
                return _decode(ImageOps.exif_transpose(image) if upright else image)
            except _DECODER_ERRORS as error:
                raise InputError(
                    f"{path} is truncated or damaged: its header promises {width} x {height} "
                    f"pixels that cannot be decoded ({error}); copy it again"
                ) from error


def _too_large(path: Path, came: str, max_pixels: int) -> str:
    return (
        f"{path} is too large: its header claims {came}, at most {max_pixels} pixels are "
        "read; scale it down"
    )


def _decode(image: Image.Image) -> Picture:
    """Converts an image in any of Pillow's modes for these formats to a Picture."""
    if image.mode.startswith("I"):  # 16-bit grey: convert("RGB") would clip it at 255
        grey = np.asarray(image, np.float32) / 65535.0
        return Picture(np.repeat(grey[..., None], 3, axis=-1), None)
    has_alpha = image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info
    pixels = np.asarray(image.convert("RGBA" if has_alpha else "RGB"), np.float32)
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


def list_pictures(folder: str | Path) -> list[Path]:
    """Lists the pictures of a folder in natural order (2.png before 10.png).

    Raises:
      MissingFile: no such folder, or no picture in the folder.
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
    return sorted(found, key=lambda path: natural_key(path.name))


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key that compares numbers inside a name by value."""
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(p), p) if p.isdecimal() and p.isascii() else (1, 0, p.lower()) for p in parts]
