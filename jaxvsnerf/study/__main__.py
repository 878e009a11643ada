"""Runs the whole pipeline on many objects and writes one table and one page.

    python -m jaxvsnerf.study --config=syncdreamer --objects=FOLDER --out=DIR

Writes DIR/results.csv, DIR/index.html and a run in DIR/<name>/ per object. An object that
fails is recorded and the others continue. The same command resumes an interrupted study and
retries failed objects.
"""

from __future__ import annotations

from absl import flags

from jaxvsnerf.config.flags import config_value, define_config
from jaxvsnerf.study.study import study_folders
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    config = define_config()
    objects = flags.DEFINE_list("objects", [], "Folders of objects, separated by commas.")
    out = flags.DEFINE_string("out", "", "The folder of the study.")
    parallel = flags.DEFINE_integer(
        "parallel", None, "Objects at a time: per GPU (2), or without GPU on this machine (1).", 1
    )
    cluster = flags.DEFINE_string(
        "cluster", "", "Address of a Ray cluster, or auto; '' uses this machine only."
    )

    def command(_) -> int:
        return study_folders(
            config_value(config),
            objects.value,
            out.value,
            parallel=parallel.value,
            cluster=cluster.value,
        )

    cli.run(command)


if __name__ == "__main__":
    main()
