"""Cuts the object out of a photo.

    python -m jaxvsnerf.cutout photo.jpg --out=photo.png [--model=u2netp]

The same as `generate` and `create` do with --cutout, into a file to look at and to mend. Needs
`pip install 'jaxvsnerf[photo]'`; a model is downloaded once, or given as an .onnx file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from absl import flags

from jaxvsnerf.data.images import read_picture
from jaxvsnerf.errors import InputError
from jaxvsnerf.generation.cutout import cut_out, cut_sides, load_remover
from jaxvsnerf.system import cli
from jaxvsnerf.system.paths import find_path
from jaxvsnerf.system.png import write_png

MODEL = "u2netp"


def main() -> None:
    """The command."""
    out = flags.DEFINE_string("out", "", "The picture to write, .png.")
    model = flags.DEFINE_string("model", MODEL, "One of rembg's models, or its .onnx file.")

    def command(arguments) -> None:
        if len(arguments) != 2:
            raise InputError("expected a photo: python -m jaxvsnerf.cutout photo.jpg --out=cut.png")
        path = Path(out.value).expanduser()
        if path.suffix.lower() != ".png":
            raise InputError(f"--out: expected a file that ends in .png, got {out.value!r}")
        if path.exists():
            raise InputError(f"--out: {path} exists already")
        photo = read_picture(find_path(arguments[1]), upright=True)
        if photo.alpha is not None and (photo.alpha < 1).any():
            raise InputError(f"{arguments[1]} has a transparent background already")
        pixels = cut_out(photo.rgb, load_remover(model.value), arguments[1])
        write_png(path, pixels / np.float32(255.0))
        height, width = pixels.shape[:2]
        rows, columns = (np.ptp(axis) + 1 for axis in np.nonzero(pixels[..., 3] >= 128))
        cli.say(f"{path}: {width}x{height}, an object of {columns}x{rows}; look at its outline")
        if sides := cut_sides(pixels[..., 3]):
            cli.say(f"the object reaches the {', '.join(sides)} border: is a part of it missing?")

    cli.run(command, positional=1)


if __name__ == "__main__":
    main()
