"""From one photo to a 3D object: makes its other views, then trains, evaluates and exports.

    python -m jaxvsnerf.create --image=photo.png --weights=DIR --elevation_deg=30         --config=configs/syncdreamer.py --workdir=DIR

The same command goes on where it stopped: views that are there are kept.
"""

from __future__ import annotations

import time

from absl import flags

from jaxvsnerf.run.create import create_run
from jaxvsnerf.run.request_flags import define_request
from jaxvsnerf.system import cli
from jaxvsnerf.system.measure import process_age


def main() -> None:
    """The command."""
    config = cli.define_config()
    workdir = cli.define_workdir()
    request = define_request()
    view = flags.DEFINE_bool("photo_view", False, "The photo itself is one more view.")

    def command(_) -> None:
        value = cli.config_value(config)
        started = time.perf_counter() - process_age()
        create_run(value, workdir.value, request(), photo_view=view.value, started=started)

    cli.run(command)


if __name__ == "__main__":
    main()
