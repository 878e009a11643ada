"""Looks at pictures and cameras before any training.

    python -m jaxvsnerf.inspect SOURCE [--config.data.rig=NAME] [--config=FILE] [--out=DIR]

SOURCE is what `config.data.path` names: a sheet, a video, a folder, transforms.json, a COLMAP
model; every other field of `config.data` is a flag as for training, and `--rig=NAME` is short for
`--config.data.rig=NAME`. Writes DIR/inspect.html, one self-contained page, and DIR/inspect.png:
the views, their masks, the cameras round the object's cube, where views agree, one score of the
set (docs/conventions.md), and which of the usual mistakes it looks like.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags
from ml_collections import config_flags

from jaxvsnerf.config import defaults as config
from jaxvsnerf.run.inspection import inspect_source
from jaxvsnerf.system import cli
from jaxvsnerf.system.extras import check_extras


def main() -> None:
    """The command."""
    values = config_flags.DEFINE_config_file(
        "config", config.__file__, "Config file.", lock_config=True
    )
    rig = flags.DEFINE_string("rig", "", "Short for --config.data.rig.")
    out = flags.DEFINE_string("out", "inspect", "Folder for the page and the picture.")

    def command(argv) -> None:
        check_extras(("jinja2",))
        chosen = cli.config_value(values)
        if len(argv) > 1:
            chosen.data.path = argv[1]
        if rig.value:
            chosen.data.rig = rig.value
        inspect_source(chosen, Path(out.value))

    cli.run(command, positional=1)


if __name__ == "__main__":
    main()
