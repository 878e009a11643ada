"""Trains an object from contradicting pictures, then scores, renders and exports it.

    python -m jaxvsnerf.train --config=configs/X.py --workdir=DIR [--config.field=value]

The same command goes on where an interrupted run stopped. With --distributed, several
processes train one run: each gives the same command, the first one writes and prints.
"""

from __future__ import annotations

import os
import time

from absl import flags

from jaxvsnerf.run.job import train_run
from jaxvsnerf.system import cli
from jaxvsnerf.system.measure import process_age
from jaxvsnerf.training.processes import join


def main() -> None:
    """The command."""
    config = cli.define_config()
    workdir = cli.define_workdir()
    distributed = flags.DEFINE_bool("distributed", False, "One of several processes of a run.")

    def command(_) -> None:
        value = cli.config_value(config)
        if distributed.value:
            join(os.environ)
        train_run(value, workdir.value, started=time.perf_counter() - process_age())

    cli.run(command)


if __name__ == "__main__":
    main()
