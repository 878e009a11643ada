"""Preparation of the input photo: cut out, centred, 256 x 256 pixels on white."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from jaxvsnerf.data.images import Picture, read_picture
from jaxvsnerf.errors import InputError
from jaxvsnerf.generation.cutout import PIP_LINE, Remover, cut_out, cut_sides

SIDE = 256
# The object's longer side in pixels that SyncDreamer's authors advise.
CROP_SIZE = 200
WHOLE = -1  # the crop size that keeps the whole picture
MIN_CROP_SIZE = 16
# Ranges of elevation in degrees: advised by SyncDreamer's authors, and accepted.
ADVISED_ELEVATION_DEG = (-10.0, 40.0)
ELEVATION_DEG = (-90.0, 90.0)
LOOK = "`python -m jaxvsnerf.cutout photo.jpg --out=photo.png` writes a file to check and mend"
CUT_OUT = (
    "a picture whose background is transparent is needed (PNG or WebP with alpha): "
    f"--cutout=u2netp removes it ({PIP_LINE}), {LOOK}, an image editor can too"
)


def read_photo(path: str | Path, remover: Remover | None = None) -> np.ndarray:
    """Reads a photo with a transparent background, or removes the background.

    Args:
      path: PNG or WebP with alpha, or any photo if `remover` is given; rotated by the EXIF
        orientation.
      remover: cuts the object out of an opaque photo; None refuses opaque photos.

    Returns:
      [height, width, 4] uint8, straight alpha, 0 in the background.

    Raises:
      MissingFile: no such file.
      InputError: the file is no picture, or see `photo_pixels`.
    """
    return photo_pixels(read_picture(path, upright=True), str(path), remover)


def photo_pixels(picture: Picture, name: str, remover: Remover | None = None) -> np.ndarray:
    """Converts a decoded picture to pixels with a transparent background, see `read_photo`.

    Args:
      picture: colours and alpha.
      name: the picture's name in messages.
      remover: cuts the object out of an opaque picture; None refuses opaque pictures.

    Returns:
      [height, width, 4] uint8, straight alpha, 0 in the background.

    Raises:
      InputError: without a remover, the picture has no alpha, nothing transparent or nothing
        opaque; with a remover, no object was found or the border cuts the object.
    """
    opaque = picture.alpha is None or bool((picture.alpha >= 1).all())
    if opaque and remover:
        pixels = cut_out(picture.rgb, remover, name)
        if sides := cut_sides(pixels[..., 3]):
            raise InputError(
                f"{name}: the object found reaches the picture's {', '.join(sides)} border, so "
                f"that part of the object is missing or background was taken for the object; {LOOK}"
            )
        return pixels
    if picture.alpha is None:
        raise InputError(f"{name} has no alpha channel, so its background is unknown; {CUT_OUT}")
    # The floats come from 8-bit values, which rounding restores.
    pixels = np.round(np.dstack([picture.rgb, picture.alpha]) * 255.0).astype(np.uint8)
    alpha = pixels[..., 3]
    if not alpha.any():
        raise InputError(f"{name} shows no object: every pixel is transparent; {CUT_OUT}")
    if alpha.min() == 255:
        raise InputError(f"{name} is opaque everywhere: the background is not removed; {CUT_OUT}")
    return pixels


def prepare_photo(photo: np.ndarray, crop_size: int = CROP_SIZE) -> np.ndarray:
    """Centres and scales an object on white, as in SyncDreamer's training pictures.

    Args:
      photo: [height, width, 4] uint8, straight alpha.
      crop_size: length in pixels of the object's longer side, 16 to 256; -1 keeps the whole
        picture, centred in a square.

    Returns:
      [256, 256, 3] float32 in [-1, 1].

    Raises:
      InputError: the crop size is out of range, or the scaled object would be less than a pixel
        wide.
      ValueError: the photo's shape or dtype is wrong.
    """
    if photo.ndim != 3 or photo.shape[-1] != 4 or photo.dtype != np.uint8:
        raise ValueError(
            f"expected a photo [height, width, 4] of uint8, got {photo.shape} of {photo.dtype}"
        )
    check_crop_size(crop_size)
    image = Image.fromarray(photo)
    if crop_size == WHOLE:
        # Choice: Pillow weights colours by alpha when resizing, so the background leaves no halo.
        square = _centred(image, max(image.size))
        placed = square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    else:
        placed = _centred(_scaled_object(image, crop_size), SIDE)
    pixels = np.asarray(placed, np.float32) / np.float32(255.0)
    alpha = pixels[..., 3:]
    return (pixels[..., :3] * alpha + 1.0 - alpha) * 2.0 - 1.0


def check_crop_size(crop_size: int) -> None:
    """Checks the crop size of `prepare_photo`.

    Raises:
      InputError: not 16 to 256, and not -1.
    """
    if crop_size != WHOLE and not MIN_CROP_SIZE <= crop_size <= SIDE:
        raise InputError(
            f"crop_size: expected {MIN_CROP_SIZE} to {SIDE} pixels, or {WHOLE} for the whole "
            f"picture, got {crop_size}; {CROP_SIZE} suits most photos"
        )


def check_elevation(elevation_deg: float) -> str:
    """Checks the elevation of a photo's camera above the object's horizon.

    Args:
      elevation_deg: degrees, positive looking down at the object.

    Returns:
      A line of advice for an elevation outside the advised range, otherwise ''.

    Raises:
      InputError: not a number, or not in [-90, 90].
    """
    low, high = ELEVATION_DEG
    if not low <= elevation_deg <= high:
        raise InputError(
            f"elevation_deg: expected degrees above the horizon in [{low:g}, {high:g}], got "
            f"{elevation_deg:g}; a photo taken slightly from above has about 20"
        )
    low, high = ADVISED_ELEVATION_DEG
    if low <= elevation_deg <= high:
        return ""
    return (
        f"elevation_deg={elevation_deg:g} lies outside [{low:g}, {high:g}], which SyncDreamer's "
        "authors advise: expect worse views"
    )


def _scaled_object(image: Image.Image, crop_size: int) -> Image.Image:
    """Crops to the object's bounding box and scales the longer side to `crop_size`."""
    rows, columns = np.nonzero(np.asarray(image)[..., 3])
    # Choice: the box excludes its last row and column, as in the model's training pictures.
    cut = image.crop((columns.min(), rows.min(), columns.max(), rows.max()))
    scale = crop_size / max(*cut.size, 1)
    width, height = (int(scale * side) for side in cut.size)
    if min(width, height) < 1:
        raise InputError(
            f"the photo's object is {cut.width + 1} x {cut.height + 1} pixels (width x height), "
            f"too small or too thin to be scaled to {crop_size}; expected a larger picture"
        )
    return cut.resize((width, height), Image.Resampling.BICUBIC)


def _centred(image: Image.Image, side: int) -> Image.Image:
    """Pastes a picture into the middle of a transparent square."""
    canvas = Image.new("RGBA", (side, side))
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return canvas
