"""Writes a run's page again, from what the run left.

    python -m jaxvsnerf.report --workdir=DIR

Writes DIR/report.html.
"""

from __future__ import annotations

from jaxvsnerf.config.files import load_config
from jaxvsnerf.run.dataset import load_pictures
from jaxvsnerf.run.page import report_run
from jaxvsnerf.run.pictures import look
from jaxvsnerf.run.saved import load_stages
from jaxvsnerf.run.usage import FOLLOWING, load_usage
from jaxvsnerf.run.workdir import locked, open_run
from jaxvsnerf.system import cli
from jaxvsnerf.system.extras import check_extras


def main() -> None:
    """The command."""
    workdir = cli.define_workdir()

    def command(_) -> None:
        check_extras()
        folder = open_run(workdir.value)
        with locked(folder):
            dataset, _ = load_pictures(load_config(folder / "config.json"))
            stages = load_stages(folder)
            shown = look(dataset, list(stages.values())[-1])
            usage = load_usage(folder)
            seconds = usage.seconds if usage else {}
            timing = {name: seconds[name] for name in FOLLOWING if name in seconds}
            report_run(folder, dataset, stages, {}, shown, timing)

    cli.run(command)


if __name__ == "__main__":
    main()
