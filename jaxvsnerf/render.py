"""Renders a run's final field: every view beside its input and truth, and a turntable.

    python -m jaxvsnerf.render --workdir=DIR [--mode=canonical] [--path=PICTURES]

Writes into DIR/renders: input_<view>.png (input, truth if known, rendering, depth, opacity),
novel_<view>.png for truth views that were no input (truth, rendering, depth, opacity),
disagreement_<view>.png (difference between input and rendering), photo.png if the photo is one
more view (photo, rendering, depth, opacity), and turntable.mp4.
"""

from __future__ import annotations

from absl import flags

from jaxvsnerf.config.flags import define_paths
from jaxvsnerf.run.remake import render_folder
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    workdir, paths = cli.define_workdir(), define_paths("path", "truth", "photo")
    mode = flags.DEFINE_string(
        "mode", "", "How views are combined: fused, canonical or nearest; '' is the stage's mode."
    )
    cli.run(lambda _: render_folder(workdir.value, mode.value, paths()))


if __name__ == "__main__":
    main()
