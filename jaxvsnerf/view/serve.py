"""Serves the live viewer of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.run.bound import found_settings, load_bound
from jaxvsnerf.system import cli
from jaxvsnerf.view.live_run import LiveRun
from jaxvsnerf.view.viewer import Viewer, start_server


def input_pictures(
    run: LiveRun, paths: Mapping[str, str]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Pictures and names of a run's input views.

    Args:
      run: the run.
      paths: see `found_settings`.

    Returns:
      Pictures [V, H, W, 3], None if the files are gone or changed, and V names.
    """
    try:
        dataset, doubt = load_bound(run.folder, found_settings(run.folder, paths))
    except InputError as error:
        cli.say(f"the input pictures are not shown: {error}")
        return None, run.scene.names
    if doubt:
        cli.say(doubt)
    return dataset.inputs.images, dataset.inputs.names


def view_run(folder: Path, host: str, port: int, height: int, paths: Mapping[str, str]) -> None:
    """Serves the viewer until a KeyboardInterrupt, which is raised.

    Args:
      folder: folder of the run.
      host: address to serve.
      port: port to serve; 0 is any free port.
      height: initial height of pictures in pixels, one of `viewer.HEIGHTS`.
      paths: see `found_settings`.

    Raises:
      MissingExtra: viser is missing.
      FileNotFoundError: the run has not started.
      StorageError: the address cannot be served.
    """
    run = LiveRun(folder)
    pictures, names = input_pictures(run, paths)
    server = start_server(host, port)
    try:
        viewer = Viewer(run, server, pictures, names, height)
        name = f"[{host}]" if ":" in host else host
        cli.say(f"{folder}: http://{name}:{server.get_port()} (Ctrl-C ends)")
        viewer.serve()
    finally:
        server.stop()
