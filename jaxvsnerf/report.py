"""Writes a run's page from the files that the run left.

    python -m jaxvsnerf.report --workdir=DIR [--path=PICTURES]

Writes DIR/report.html.
"""

from __future__ import annotations

from jaxvsnerf.config.flags import define_paths
from jaxvsnerf.run.remake import report_folder
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    workdir, paths = cli.define_workdir(), define_paths("path", "truth", "photo")
    cli.run(lambda _: report_folder(workdir.value, paths()))


if __name__ == "__main__":
    main()
