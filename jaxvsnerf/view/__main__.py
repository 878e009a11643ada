"""Shows a run in a browser, during and after training.

    python -m jaxvsnerf.view --workdir=DIR [--port=8080] [--host=127.0.0.1]
        [--path=PICTURES]

The page renders the newest checkpoint of any stage from any viewpoint: colour, depth, opacity, or
the disagreement of the views' own branches, with the views combined in any way or with the branch
of one view. A run saves every `loop.checkpoint_every` steps (500); a smaller number shows more
of the training. Needs pip install 'jaxvsnerf[viewer]'. Nothing is written.
"""

from __future__ import annotations

import jax
from absl import flags

from jaxvsnerf.config.flags import define_paths
from jaxvsnerf.run.workdir import open_run
from jaxvsnerf.system import cli
from jaxvsnerf.system.signals import arrived
from jaxvsnerf.view.serve import view_run
from jaxvsnerf.view.viewer import HEIGHTS, check_installed


def main() -> None:
    """The command."""
    workdir, paths = cli.define_workdir(), define_paths("path", "photo")
    host = flags.DEFINE_string(
        "host", "127.0.0.1", "Address to serve: by default this machine only; 0.0.0.0: the network."
    )
    port = flags.DEFINE_integer(
        "port", 8080, "Port of the page; 0: any free port.", lower_bound=0, upper_bound=65535
    )
    height = flags.DEFINE_enum("height", None, HEIGHTS, "Height of a picture, in pixels.")

    def command(_) -> None:
        check_installed()
        folder = open_run(workdir.value)
        # Choice: heights that render within about a second.
        own = "128" if jax.default_backend() == "cpu" else "512"
        try:
            view_run(folder, host.value, port.value, int(height.value or own), paths())
        except KeyboardInterrupt as stopped:  # Ctrl-C is the ordinary end
            arrived(stopped)

    cli.run(command)


if __name__ == "__main__":
    main()
