"""Reads the frames of untrusted animations: WebP, PNG and GIF, which ComfyUI saves for a video."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from jaxvsnerf.data.images import DECODER_ERRORS, MAX_PIXELS, MAX_SET_PIXELS, Picture, decode
from jaxvsnerf.errors import InputError

FORMATS = ("WEBP", "PNG", "GIF")
SUFFIXES = (".webp", ".png", ".apng", ".gif")


def is_animation(path: Path) -> bool:
    """Whether a file is a WebP, PNG or GIF of several frames; looks at the header only."""
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    try:
        with Image.open(path, formats=FORMATS) as image:
            return getattr(image, "n_frames", 1) > 1
    # A damaged file is refused by who reads the file.
    except (*DECODER_ERRORS, Image.DecompressionBombError):
        return False


def read_animation(path: Path, limit: int) -> list[Picture]:
    """Decodes the first frames of an animated WebP, PNG or GIF file.

    Args:
      path: the file.
      limit: largest number of frames to decode.

    Returns:
      At most `limit` frames.

    Raises:
      InputError: too large, or damaged.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            count = min(getattr(image, "n_frames", 1), limit)
            if width * height > MAX_PIXELS or width * height * count > MAX_SET_PIXELS:
                raise InputError(
                    f"{path} is too large: {count} frames of {width} x {height} pixels, at most "
                    f"{MAX_PIXELS} pixels of a frame and {MAX_SET_PIXELS} of all are read; scale "
                    "the frames down"
                )
            frames = []
            for index in range(count):
                image.seek(index)
                frames.append(decode(image.copy()))
            return frames
    except InputError:
        raise
    except (*DECODER_ERRORS, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be decoded as an animation ({error})") from error
