"""Shows a run in a browser, while it trains and after.

    python -m jaxvsnerf.view --workdir=DIR [--port=8080] [--host=127.0.0.1]

The page renders the newest checkpoint from anywhere: colour, depth, opacity, or how far the
views' own branches disagree; of any stage, with the views combined in any way or each view's
branch alone. A run saves every `loop.checkpoint_every` steps (500); a smaller number shows more
of the training. Needs pip install 'jaxvsnerf[viewer]'. Nothing is written.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import jax
import numpy as np
from absl import flags

from jaxvsnerf import assemble, cli
from jaxvsnerf.data.load import load_dataset
from jaxvsnerf.live_run import LiveRun
from jaxvsnerf.viewer import HEIGHTS, Viewer, check_installed, start_server
from jaxvsnerf.workdir import open_run


def input_pictures(run: LiveRun) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Pictures and names of a run's input views; no pictures where their files are gone."""
    try:
        views = load_dataset(assemble.data_spec(run.config)).inputs
    except FileNotFoundError as error:
        cli.say(f"the input pictures are not shown: {error}")
        count = len(run.cameras.w2c) - bool(run.config.data.photo)  # the photo's is the last
        return None, tuple(str(view) for view in range(count))
    return views.images, views.names


def view_run(folder: Path, host: str, port: int, height: int) -> None:
    """Serves until a KeyboardInterrupt, which is raised.

    Raises:
      ImportError, FileNotFoundError, OSError: viser, the run or the address is not there.
    """
    run = LiveRun(folder)
    pictures, names = input_pictures(run)
    server = start_server(host, port)
    try:
        viewer = Viewer(run, server, pictures, names, height)
        name = f"[{host}]" if ":" in host else host
        cli.say(f"{folder}: http://{name}:{server.get_port()} (Ctrl-C ends)")
        viewer.serve()
    finally:
        server.stop()


def main() -> None:
    """The command."""
    workdir = cli.define_workdir()
    host = flags.DEFINE_string(
        "host", "127.0.0.1", "Who can open the page: this machine alone; 0.0.0.0: the network."
    )
    port = flags.DEFINE_integer(
        "port", 8080, "Of the page; 0: a free one.", lower_bound=0, upper_bound=65535
    )
    height = flags.DEFINE_enum("height", None, HEIGHTS, "Of a picture, in pixels.")

    def command(_) -> None:
        check_installed()
        folder = open_run(workdir.value)
        # Choice: what answers within a second or so.
        own = "128" if jax.default_backend() == "cpu" else "512"
        with contextlib.suppress(KeyboardInterrupt):  # its ordinary end
            view_run(folder, host.value, port.value, int(height.value or own))

    cli.run(command)


if __name__ == "__main__":
    main()
