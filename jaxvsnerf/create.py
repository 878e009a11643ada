"""Makes a 3D object from one photo: generates its other views, trains, scores and exports.

    python -m jaxvsnerf.create --image=photo.png --weights=DIR --elevation_deg=30 \\
        --config=syncdreamer --workdir=DIR

The same command resumes an interrupted run and keeps the views that were generated.
"""

from __future__ import annotations

import time

from absl import flags

from jaxvsnerf.config.flags import config_value, define_config
from jaxvsnerf.run.create import create_run
from jaxvsnerf.run.request_flags import define_request
from jaxvsnerf.system import cli
from jaxvsnerf.system.measure import process_age


def main() -> None:
    """The command."""
    config = define_config()
    workdir = cli.define_workdir()
    request = define_request()
    view = flags.DEFINE_bool("photo_view", False, "Train on the photo too, as one more view.")

    def command(_) -> None:
        value = config_value(config)
        started = time.perf_counter() - process_age()
        create_run(value, workdir.value, request(), photo_view=view.value, started=started)

    cli.run(command)


if __name__ == "__main__":
    main()
