"""Takes many objects through the whole pipeline: one table, one page.

    python -m jaxvsnerf.study --config=configs/syncdreamer.py --objects=FOLDER --out=DIR         [--config.field=value]

Writes DIR/results.csv, DIR/index.html and a run in DIR/<name>/ per object. An object that
fails is recorded and the others go on. The same command goes on where an interrupted study
stopped, and tries the failed ones again.
"""

from __future__ import annotations

from absl import flags

from jaxvsnerf.config import resolve
from jaxvsnerf.errors import InputError
from jaxvsnerf.run.workdir import locked, open_workdir
from jaxvsnerf.study.objects import find_objects
from jaxvsnerf.study.results import summary_text
from jaxvsnerf.study.study import choose_runner, scorable, study_run
from jaxvsnerf.system import cli
from jaxvsnerf.system.extras import check_extras
from jaxvsnerf.system.paths import find_path
from jaxvsnerf.system.signals import stop_signal


def main() -> None:
    """The command."""
    config = cli.define_config()
    objects = flags.DEFINE_list("objects", [], "Folders of objects, separated by commas.")
    out = flags.DEFINE_string("out", "", "Folder of the study.")
    parallel = flags.DEFINE_integer(
        "parallel", None, "Objects at a time on each GPU (2) or on this machine (1).", 1
    )
    cluster = flags.DEFINE_string(
        "cluster", "", "Address of a Ray cluster, or auto; '' is this machine alone."
    )

    def command(_) -> int:
        shared = resolve.with_data(cli.config_value(config), {"path": "", "truth": "", "mesh": ""})
        if not objects.value:
            raise InputError("--objects: expected a folder of objects, got nothing")
        found, others = find_objects([find_path(path) for path in objects.value])
        check_extras()
        found = scorable(found)
        resolve.check_outputs(shared)
        folder = open_workdir(out.value, "--out")
        if others:
            cli.say(f"no object in: {', '.join(map(str, others))}")
        with locked(folder, "--out"):
            # Before the signals are taken, since Ray takes them too.
            run = choose_runner(cluster.value, parallel.value)
            with stop_signal() as stop:
                records = study_run(shared, found, folder, run, stop)
        cli.say(f"{summary_text(records)}\n{folder / 'index.html'}")
        return int(any(record["status"] != "ok" for record in records))

    cli.run(command)


if __name__ == "__main__":
    main()
