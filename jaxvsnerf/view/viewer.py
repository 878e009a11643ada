"""Live viewer: a viser page that shows a run's field from any viewpoint during training.

Only the thread that calls `Viewer.serve` reads checkpoints and renders; viser's own threads only
record requests.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import jax
import numpy as np
from scipy.spatial.transform import Rotation

from jaxvsnerf.errors import StorageError
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.system.extras import require
from jaxvsnerf.system.png import to_uint8
from jaxvsnerf.view.live_run import LiveRun, Saved
from jaxvsnerf.view.look import (
    ASPECT,
    SHOWN,
    look_at_field,
    modes_of,
    shown_of,
    to_cameras,
    to_pose,
)
from jaxvsnerf.view.origin import own_pages_alone

NEWEST = "newest"
HEIGHTS = ("64", "128", "256", "512", "1024")
# Choice: while a camera moves, pictures have a quarter of the height and width.
COARSE = 4
POLL_SECONDS = 1.0
FRUSTUM, THICKNESS = 0.12, 0.003  # of input cameras, in cube sides
# Rotation and scale from the first input camera to the initial viewpoint of a window, which the
# input camera's frustum would otherwise block.
START = 1.6 * Rotation.from_euler("z", 25.0, degrees=True).as_matrix()
JPEG_QUALITY = 90


def check_installed() -> ModuleType:
    """Imports viser.

    Raises:
      MissingExtra: viser is missing; the message holds the pip line.
    """
    return require("viser", "the live viewer", pip_line="pip install 'jaxvsnerf[viewer]'")


def start_server(host: str, port: int):
    """Starts a viser server at exactly this address; port 0 is any free port.

    Raises:
      MissingExtra: viser is missing, or a version that is not known to refuse other pages.
      StorageError: the address cannot be served.
    """
    viser = check_installed()
    # viser would silently take the next free port.
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StorageError(
                f"--host, --port: {host}:{port} cannot be served ({error.strerror}); "
                "check the host name; if another viewer uses the port, --port=0 takes a free port"
            ) from error
        port = probe.getsockname()[1]
    with contextlib.redirect_stdout(io.StringIO()), own_pages_alone(host):
        # Standard output is silent, since the command prints the address.
        server = viser.ViserServer(host=host, port=port, label="jaxvsnerf", verbose=False)
    # Otherwise any visitor could request a public address for the page.
    server.request_share_url = lambda verbose=True: None
    server.gui.configure_theme(show_logo=False, show_share_button=False)
    return server


@dataclass
class _Window:
    """A browser window.

    Attributes:
      client: viser's client handle.
      frusta: handles of the input cameras shown in the window.
      height: height of the last picture; 0 if none was rendered from the current camera.
    """

    client: Any
    frusta: list[Any]
    height: int = 0


class Viewer:
    """Shows a run in the windows of a viser server.

    Args:
      run: the run.
      server: viser server, see `start_server`.
      pictures: [V, H, W, 3] input views in [0, 1], or None to show only their cameras.
      names: V names of the input views.
      height: initial height of pictures in pixels, one of HEIGHTS.
    """

    def __init__(self, run: LiveRun, server, pictures, names: tuple[str, ...], height: int):
        self.run, self.server = run, server
        self.saved: Saved | None = None
        self.field: TrainedField | None = None
        self._windows: dict[int, _Window] = {}
        self._awake = threading.Event()
        self._inputs = names, pictures
        self._add_controls(height, names)
        begin, first = server.initial_camera, to_pose(run.scene.cameras, 0)
        begin.look_at, begin.fov = first.look_at, first.fov
        begin.position = first.look_at + START @ (first.position - first.look_at)
        server.on_client_connect(self._connected)
        server.on_client_disconnect(lambda client: self._windows.pop(client.client_id, None))

    def serve(self, running: Callable[[], bool] = lambda: True) -> None:
        """Reads checkpoints and renders while `running()` is true."""
        looked = -POLL_SECONDS
        while running():
            if time.monotonic() - looked >= POLL_SECONDS:
                self.refresh()
                looked = time.monotonic()
            self._awake.clear()
            if not self._render_one():
                self._awake.wait(POLL_SECONDS)

    def refresh(self) -> bool:
        """Loads the newest checkpoint of the chosen stage; True if a new one was loaded."""
        found = {saved.stage: saved for saved in self.run.saved()}
        if not found:
            every = self.run.trainer.loop.checkpoint_every
            self._text.content = (
                f"no checkpoint yet: a run saves every {every} steps (`loop.checkpoint_every`) "
                "and at the end of a stage"
            )
            return False
        options = (NEWEST, *found)
        if self._stage.options != options:
            self._stage.options = options
        chosen = found.get(self._stage.value, list(found.values())[-1])
        if chosen == self.saved:
            return False
        field = self.run.load(chosen)
        if field is None:  # mostly deleted meanwhile: the next look finds a newer checkpoint
            self._text.content = f"{chosen.stage}, step {chosen.step} cannot be read; waiting ..."
            return False
        self.saved, self.field = chosen, field
        if self._shown.options != shown_of(field):
            self._shown.options = shown_of(field)
        if self._mode.options != self._modes():
            self._mode.options = self._modes()
        self._tell("rendering; new programs compile first ...")
        self._redraw()
        return True

    def look(self, pose, aspect: float, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Renders the chosen content with the chosen mode, see `look_at_field`.

        Args:
          pose: camera with `wxyz`, `position` and `fov`, see `Pose`.
          aspect: width over height of the window.
          height: height of the picture in pixels.

        Returns:
          Picture [H, W, 3] float32 in [0, 1] and depth [H, W].
        """
        camera = to_cameras(pose.wxyz, pose.position, pose.fov, aspect, height)
        # Modes differ between stages, and a window may still show a mode of another stage.
        mode = self._mode.value if self._mode.value in self._modes() else self.field.mode
        return look_at_field(self.field, mode, self._shown.value, camera)

    def _modes(self) -> tuple[str, ...]:
        return modes_of(self.field, photo=self.run.scene.photo is not None)

    def _add_controls(self, height: int, names: tuple[str, ...]) -> None:
        gui = self.server.gui
        self._text = gui.add_markdown("reading ...")
        self._stage = gui.add_dropdown("stage", (NEWEST,))
        self._mode = gui.add_dropdown(
            "views", ("...",), hint="Combination of the views, or one view's own branch."
        )
        self._shown = gui.add_dropdown(
            "show", SHOWN[:1], hint="Disagreement renders every view's branch, which takes longer."
        )
        self._height = gui.add_dropdown(
            "height", HEIGHTS, initial_value=str(height), hint="Height of a picture, in pixels."
        )
        self._stage.on_update(lambda _: self._awake.set())
        self._frusta = gui.add_checkbox("input cameras", True)
        for control in (self._mode, self._shown, self._height, self._frusta):
            control.on_update(lambda _: self._redraw())
        jump = gui.add_button_group("go to", names)

        @jump.on_click
        def _(event) -> None:
            self._go(event.client, names.index(jump.value))

    def _add_inputs(self, client) -> list[Any]:
        """Adds the input cameras with their pictures to a window; a click moves there."""
        cameras, (names, pictures), frusta = self.run.scene.cameras, self._inputs, []
        for view, name in enumerate(names):
            pose = to_pose(cameras, view)
            frustum = client.scene.add_camera_frustum(
                f"/inputs/{name}",
                pose.fov,
                cameras.width / cameras.height,
                scale=FRUSTUM,
                thickness=THICKNESS,
                image=None if pictures is None else to_uint8(pictures[view]),
                wxyz=pose.wxyz,
                position=pose.position,
            )
            frustum.on_click(lambda _, view=view: self._go(client, view))
            frusta.append(frustum)
        return frusta

    def _show_inputs(self, window: _Window) -> None:
        """Shows input cameras if the checkbox is set, except one at the window's own camera."""
        for frustum in window.frusta:
            away = np.linalg.norm(frustum.position - window.client.camera.position)
            visible = bool(self._frusta.value and away > 2 * FRUSTUM)
            if frustum.visible != visible:
                frustum.visible = visible

    def _go(self, client, view: int) -> None:
        """Moves a window's camera to that of an input view."""
        pose = to_pose(self.run.scene.cameras, view)
        with client.atomic():
            client.camera.position = pose.position
            client.camera.look_at = pose.look_at
            client.camera.wxyz = pose.wxyz
            client.camera.fov = pose.fov
        self._moved(client)

    def _connected(self, client) -> None:
        self._windows[client.client_id] = _Window(client, self._add_inputs(client))
        client.camera.on_update(lambda _: self._moved(client))
        self._awake.set()

    def _moved(self, client) -> None:
        if window := self._windows.get(client.client_id):
            window.height = 0
        self._awake.set()

    def _redraw(self) -> None:
        for window in list(self._windows.values()):
            window.height = 0
        self._awake.set()

    def _render_one(self) -> bool:
        """Renders the next picture that a window waits for; False if no window waits."""
        full = int(self._height.value)
        waiting = [w for w in list(self._windows.values()) if w.height < full]
        if self.field is None or not waiting:
            return False
        window = min(waiting, key=lambda one: one.height)  # first the coarse pictures
        height = max(full // COARSE, 1) if window.height == 0 else full
        window.height = height  # before the camera is read: a move meanwhile resets it to 0
        began, camera = time.perf_counter(), window.client.camera
        if not camera.image_width or not camera.image_height:  # hidden window
            return True
        self._show_inputs(window)
        rgb, depth = self.look(camera, camera.aspect, height)
        if window.client.client_id in self._windows:  # still open
            window.client.scene.set_background_image(
                to_uint8(rgb), format="jpeg", jpeg_quality=JPEG_QUALITY, depth=depth
            )
        if height == full:
            took = time.perf_counter() - began
            self._tell(
                f"{round(ASPECT * height)}x{height} in {took:.2f} s on {jax.default_backend()}"
            )
        return True

    def _tell(self, what: str) -> None:
        stage, step = self.saved
        self._text.content = f"**{stage}**, step {step} of {self.run.stages[stage].steps}  \n{what}"
