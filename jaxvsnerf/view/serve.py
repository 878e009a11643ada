"""Serves the live viewer of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxvsnerf.run.dataset import read_pictures
from jaxvsnerf.system import cli
from jaxvsnerf.view.live_run import LiveRun
from jaxvsnerf.view.viewer import Viewer, start_server


def input_pictures(run: LiveRun) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Pictures and names of a run's input views; no pictures where their files are gone."""
    try:
        views = read_pictures(run.config).inputs
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
