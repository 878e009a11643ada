"""Writes a run's page from the files that the run left.

    python -m jaxvsnerf.report --workdir=DIR

Writes DIR/report.html.
"""

from __future__ import annotations

from jaxvsnerf.run.remake import report_folder
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    workdir = cli.define_workdir()
    cli.run(lambda _: report_folder(workdir.value))


if __name__ == "__main__":
    main()
