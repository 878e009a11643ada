"""Cuts the object out of a photo.

    python -m jaxvsnerf.cutout photo.jpg --out=photo.png [--model=u2netp]

`generate` and `create` do the same with --cutout; this command writes a file to look at and to
correct. Needs `pip install 'jaxvsnerf[photo]'`; a model is downloaded once, or given as an .onnx
file.
"""

from __future__ import annotations

from absl import flags

from jaxvsnerf.errors import InputError
from jaxvsnerf.generation.cutout import cut_file
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    out = flags.DEFINE_string("out", "", "The picture to write, .png.")
    model = flags.DEFINE_string("model", "u2netp", "A model of rembg, or an .onnx file.")

    def command(arguments) -> None:
        if len(arguments) != 2:
            raise InputError("expected a photo: python -m jaxvsnerf.cutout photo.jpg --out=cut.png")
        cut_file(arguments[1], out.value, model.value)

    cli.run(command, positional=1)


if __name__ == "__main__":
    main()
