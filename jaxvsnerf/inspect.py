"""Checks pictures and cameras before any training.

    python -m jaxvsnerf.inspect sheet.png --rig=zero123pp-v1.2 [--config=NAME] [--out=DIR]

The source is a sheet, a video, a folder, transforms.json or a COLMAP model, see `data.path`; every
other setting of `data` is a flag as for training, and --rig=NAME is short for
--config.data.rig=NAME. Writes DIR/inspect.html, one self-contained page, and DIR/inspect.png: the
views, their masks, the cameras around the object's cube, the agreement of the views, one score of
the set (docs/conventions.md), and the usual mistake that the set looks like.
"""

from __future__ import annotations

from absl import flags

from jaxvsnerf.config.flags import config_value, define_config
from jaxvsnerf.run.inspection import inspect_source
from jaxvsnerf.system import cli
from jaxvsnerf.system.extras import check_extras
from jaxvsnerf.system.paths import user_path


def main() -> None:
    """The command."""
    config = define_config(default="syncdreamer")
    rig = flags.DEFINE_string("rig", "", "Short for --config.data.rig.")
    out = flags.DEFINE_string("out", "inspect", "The folder for the page and the picture.")

    def command(argv) -> None:
        check_extras(("jinja2",))
        chosen = config_value(config)
        if len(argv) > 1:
            chosen.data.path = argv[1]
        if rig.value:
            chosen.data.rig = rig.value
        inspect_source(chosen, user_path(out.value))

    cli.run(command, positional=1)


if __name__ == "__main__":
    main()
