"""Renders a run's final field: every view beside its input and truth, and a turntable.

    python -m jaxvsnerf.render --workdir=DIR [--mode=canonical]

Writes DIR/renders/input_<view>.png (the input, its truth where known, the rendering, depth,
opacity), novel_<view>.png for truth views that were no input (truth, rendering, depth,
opacity), disagreement_<view>.png (how far the input is from the rendering), photo.png (where the
photo is one more view: it, its rendering, depth, opacity) and turntable.mp4.
"""

from __future__ import annotations

from absl import flags

from jaxvsnerf.config.files import load_config
from jaxvsnerf.run.dataset import load_pictures
from jaxvsnerf.run.pictures import look, render_run
from jaxvsnerf.run.saved import load_stages
from jaxvsnerf.run.workdir import locked, open_run
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    workdir = cli.define_workdir()
    mode = flags.DEFINE_string("mode", "", "fused, canonical or nearest; '' is the stage's own.")

    def command(_) -> None:
        folder = open_run(workdir.value)
        with locked(folder):
            dataset, _ = load_pictures(load_config(folder / "config.json"))
            stages = load_stages(folder, last_only=True, mode=mode.value)
            (field,) = stages.values()
            render_run(folder, dataset, field, look(dataset, field))

    cli.run(command)


if __name__ == "__main__":
    main()
