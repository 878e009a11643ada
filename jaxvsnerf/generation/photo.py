"""The input photo as the generators take it: cut out, centred, 256x256, on white."""

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
WHOLE = -1
MIN_CROP_SIZE = 16
# The elevations, in degrees, that SyncDreamer's authors advise, and those that are taken.
ADVISED_ELEVATION_DEG = (-10.0, 40.0)
ELEVATION_DEG = (-90.0, 90.0)
LOOK = "`python -m jaxvsnerf.cutout photo.jpg --out=photo.png` leaves a file to look at and to mend"
CUT_OUT = (
    "a picture whose background is transparent is needed (PNG or WebP with alpha): "
    f"--cutout=u2netp removes it ({PIP_LINE}), {LOOK}, an image editor does it too"
)


def read_photo(path: str | Path, remover: Remover | None = None) -> np.ndarray:
    """Reads a photo whose background was removed, or removes it.

    Args:
      path: PNG or WebP with alpha, or any photo where there is a remover. It is turned as its
        EXIF orientation says.
      remover: cuts the object out of an opaque photo; None refuses one.

    Returns:
      [height, width, 4] uint8, straight alpha, 0 where there is background.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not a picture, no alpha, nothing transparent, or nothing opaque; of a photo
        cut out here, no object in it or one that the border cuts.
    """
    return photo_pixels(read_picture(path, upright=True), str(path), remover)


def photo_pixels(picture: Picture, name: str, remover: Remover | None = None) -> np.ndarray:
    """A decoded picture as `read_photo` returns it.

    Args:
      picture: colours and alpha.
      name: what messages call it.
      remover: as `read_photo` has it.

    Raises:
      ValueError: see `read_photo`.
    """
    opaque = picture.alpha is None or bool((picture.alpha >= 1).all())
    if opaque and remover:
        pixels = cut_out(picture.rgb, remover, name)
        if sides := cut_sides(pixels[..., 3]):
            raise InputError(
                f"{name}: the object found reaches the picture's {', '.join(sides)} border, so "
                f"that a part of it is missing or background was taken for it; {LOOK}"
            )
        return pixels
    if picture.alpha is None:
        raise InputError(f"{name} has no alpha channel, so its background is unknown; {CUT_OUT}")
    # Straight from 8 bits, so that rounding gives the stored values again.
    pixels = np.round(np.dstack([picture.rgb, picture.alpha]) * 255.0).astype(np.uint8)
    alpha = pixels[..., 3]
    if not alpha.any():
        raise InputError(f"{name} shows no object: it is transparent everywhere; {CUT_OUT}")
    if alpha.min() == 255:
        raise InputError(f"{name} is opaque everywhere, so it has its background still; {CUT_OUT}")
    return pixels


def prepare_photo(photo: np.ndarray, crop_size: int = CROP_SIZE) -> np.ndarray:
    """Brings an object to the middle of a white picture, as SyncDreamer was trained.

    Args:
      photo: [height, width, 4] uint8, straight alpha.
      crop_size: pixels of the object's longer side, 16 to 256; -1 takes the whole picture,
        centred in a square, as it is.

    Returns:
      [256, 256, 3] float32 in [-1, 1].

    Raises:
      ValueError: another shape or crop size, or an object too thin to be seen.
    """
    if photo.ndim != 3 or photo.shape[-1] != 4 or photo.dtype != np.uint8:
        raise InputError(
            f"expected a photo [height, width, 4] of uint8, got {photo.shape} of {photo.dtype}"
        )
    check_crop_size(crop_size)
    image = Image.fromarray(photo)
    if crop_size == WHOLE:
        # Choice: Pillow weights colours by alpha while it resizes, so no halo of the background.
        square = _centred(image, max(image.size))
        placed = square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    else:
        placed = _centred(_scaled_object(image, crop_size), SIDE)
    pixels = np.asarray(placed, np.float32) / np.float32(255.0)
    alpha = pixels[..., 3:]
    return (pixels[..., :3] * alpha + 1.0 - alpha) * 2.0 - 1.0


def check_crop_size(crop_size: int) -> None:
    """Raises ValueError where `prepare_photo` does not take the size."""
    if crop_size != WHOLE and not MIN_CROP_SIZE <= crop_size <= SIDE:
        raise InputError(
            f"crop_size: expected {MIN_CROP_SIZE} to {SIDE} pixels, or {WHOLE} for the whole "
            f"picture as it is, got {crop_size}; {CROP_SIZE} suits most photos"
        )


def check_elevation(elevation_deg: float) -> str:
    """Checks how far above the object's horizon the camera of a photo stood.

    Args:
      elevation_deg: degrees, positive looking down at the object.

    Returns:
      A line of advice where the generators were not trained for it, '' where they were.

    Raises:
      ValueError: not a number, or not in [-90, 90].
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
    """The object's bounding box, its longer side scaled to `crop_size`."""
    rows, columns = np.nonzero(np.asarray(image)[..., 3])
    # The box ends before its last row and column: so were the photos that trained the model.
    cut = image.crop((columns.min(), rows.min(), columns.max(), rows.max()))
    scale = crop_size / max(*cut.size, 1)
    width, height = (int(scale * side) for side in cut.size)
    if min(width, height) < 1:
        raise InputError(
            f"the photo's object is {cut.width + 1} x {cut.height + 1} pixels (width x height), "
            f"too small or too thin to be scaled to {crop_size}; expected a larger picture of it"
        )
    return cut.resize((width, height), Image.Resampling.BICUBIC)


def _centred(image: Image.Image, side: int) -> Image.Image:
    """The picture in the middle of a transparent square."""
    canvas = Image.new("RGBA", (side, side))
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return canvas
