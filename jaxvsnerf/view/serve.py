"""Serves the live viewer of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxvsnerf.run.dataset import read_pictures
from jaxvsnerf.system import cli
from jaxvsnerf.view.live_run import LiveRun
from jaxvsnerf.view.viewer import Viewer, start_server


def input_pictures(run: LiveRun) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Pictures [V, H, W, 3] and names of a run's input views; None if the files are gone."""
    try:
        views = read_pictures(run.config).inputs
    except FileNotFoundError as error:
        cli.say(f"the input pictures are not shown: {error}")
        photos = run.scene.photo is not None  # the photo's camera is the last
        count = len(run.scene.cameras.w2c) - photos
        return None, tuple(str(view) for view in range(count))
    return views.images, views.names


def view_run(folder: Path, host: str, port: int, height: int) -> None:
    """Serves the viewer until a KeyboardInterrupt, which is raised.

    Args:
      folder: folder of the run.
      host: address to serve.
      port: port to serve; 0 is any free port.
      height: initial height of pictures in pixels, one of `viewer.HEIGHTS`.

    Raises:
      MissingExtra: viser is missing.
      FileNotFoundError: the run has not started.
      StorageError: the address cannot be served.
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
