"""Trains an object from contradicting pictures, then scores, renders and exports it.

    python -m jaxvsnerf.train --config=quickstart --workdir=runs/quickstart

The same command resumes an interrupted run. With --distributed, several processes train one run:
each gives the same command, the first one writes and prints.
"""

from __future__ import annotations

import os
import time

from absl import flags

from jaxvsnerf.config.flags import config_value, define_config
from jaxvsnerf.run.job import train_run
from jaxvsnerf.system import cli
from jaxvsnerf.system.measure import process_age
from jaxvsnerf.training.processes import join


def main() -> None:
    """The command."""
    config = define_config()
    workdir = cli.define_workdir()
    distributed = flags.DEFINE_bool("distributed", False, "This is one of several processes.")

    def command(_) -> None:
        value = config_value(config)
        if distributed.value:
            join(os.environ)
        train_run(value, workdir.value, started=time.perf_counter() - process_age())

    cli.run(command)


if __name__ == "__main__":
    main()
