"""The live viewer: a page by viser that shows a run's field from anywhere, while it trains.

One thread, the one that calls `Viewer.serve`, reads checkpoints and renders; viser's own
threads only note what is wanted.
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
from jaxvsnerf.view.look import ASPECT, SHOWN, look_at_field, modes_of, to_cameras, to_pose

NEWEST = "newest"
HEIGHTS = ("64", "128", "256", "512", "1024")
# Choice: while a camera moves pictures are a quarter as high and wide.
COARSE = 4
POLL_SECONDS = 1.0
FRUSTUM, THICKNESS = 0.12, 0.003  # of input cameras, in cube sides
# Where a window begins: turned from the first input camera, which would stand in the way.
START = 1.6 * Rotation.from_euler("z", 25.0, degrees=True).as_matrix()
JPEG_QUALITY = 90


def check_installed() -> ModuleType:
    """viser; ImportError with the pip line where it is absent."""
    return require("viser", "the live viewer", pip_line="pip install 'jaxvsnerf[viewer]'")


def start_server(host: str, port: int):
    """A viser server at exactly this address; port 0 is a free one.

    Raises:
      ImportError: viser is absent; OSError: the address cannot be had.
    """
    viser = check_installed()
    # viser would take the next free port without a word.
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StorageError(
                f"--host, --port: {host}:{port} cannot be served ({error.strerror}); "
                "is the name right? Where another viewer is there, --port=0 takes a free one"
            ) from error
        port = probe.getsockname()[1]
    with contextlib.redirect_stdout(io.StringIO()):  # the command says the address itself
        server = viser.ViserServer(host=host, port=port, label="jaxvsnerf", verbose=False)
    # Whoever reaches the page could else ask for a public address of it.
    server.request_share_url = lambda verbose=True: None
    server.gui.configure_theme(show_logo=False, show_share_button=False)
    return server


@dataclass
class _Window:
    """A browser's window.

    Attributes:
      client: viser's handle.
      frusta: the input cameras in it.
      height: of the last picture; 0 where there is none from the present camera.
    """

    client: Any
    frusta: list[Any]
    height: int = 0


class Viewer:
    """Shows a run in the windows of a server.

    Args:
      run: the run.
      server: of viser, see `start_server`.
      pictures: [V, H, W, 3] of the input views in [0, 1], or None to show their cameras alone.
      names: of the input views.
      height: of a picture in pixels, at first.
    """

    def __init__(self, run: LiveRun, server, pictures, names: tuple[str, ...], height: int):
        self.run, self.server = run, server
        self.saved: Saved | None = None
        self.field: TrainedField | None = None
        self._windows: dict[int, _Window] = {}
        self._awake = threading.Event()
        self._inputs = names, pictures
        self._add_controls(height, names)
        begin, first = server.initial_camera, to_pose(run.cameras, 0)
        begin.look_at, begin.fov = first.look_at, first.fov
        begin.position = first.look_at + START @ (first.position - first.look_at)
        server.on_client_connect(self._connected)
        server.on_client_disconnect(lambda client: self._windows.pop(client.client_id, None))

    def serve(self, running: Callable[[], bool] = lambda: True) -> None:
        """Reads and renders for as long as `running` says."""
        looked = -POLL_SECONDS
        while running():
            if time.monotonic() - looked >= POLL_SECONDS:
                self.refresh()
                looked = time.monotonic()
            self._awake.clear()
            if not self._render_one():
                self._awake.wait(POLL_SECONDS)

    def refresh(self) -> bool:
        """Loads what is chosen where there is something newer; whether it did."""
        found = {saved.stage: saved for saved in self.run.saved()}
        if not found:
            every = self.run.trainer.loop.checkpoint_every
            self._text.content = (
                f"no checkpoint yet: there is one every {every} steps (`loop.checkpoint_every`) "
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
        if field is None:  # gone meanwhile, mostly: a newer one is there at the next look
            self._text.content = f"{chosen.stage}, step {chosen.step} cannot be read; waiting ..."
            return False
        self.saved, self.field = chosen, field
        if self._mode.options != self._modes():
            self._mode.options = self._modes()
        self._tell("rendering; what is new is compiled first ...")
        self._redraw()
        return True

    def look(self, pose, aspect: float, height: int) -> tuple[np.ndarray, np.ndarray]:
        """What is chosen, from a pose (`wxyz`, `position`, `fov`): see `look_at_field`."""
        camera = to_cameras(pose.wxyz, pose.position, pose.fov, aspect, height)
        # A stage's modes differ from another's, and a window may still name an old one.
        mode = self._mode.value if self._mode.value in self._modes() else self.field.mode
        return look_at_field(self.field, mode, self._shown.value, camera)

    def _modes(self) -> tuple[str, ...]:
        return modes_of(self.field, photo=bool(self.run.config.data.photo))

    def _add_controls(self, height: int, names: tuple[str, ...]) -> None:
        gui = self.server.gui
        self._text = gui.add_markdown("reading ...")
        self._stage = gui.add_dropdown("stage", (NEWEST,))
        self._mode = gui.add_dropdown(
            "views", ("...",), hint="How views are combined, or one view's own branch."
        )
        self._shown = gui.add_dropdown(
            "show", SHOWN, hint="Disagreement renders every view's branch, which takes longer."
        )
        self._height = gui.add_dropdown(
            "height", HEIGHTS, initial_value=str(height), hint="Of a picture, in pixels."
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
        """The input views' cameras with their pictures in a window; a click goes there."""
        cameras, (names, pictures), frusta = self.run.cameras, self._inputs, []
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
        """Input cameras as the checkbox has it, but for the one that a window stands in."""
        for frustum in window.frusta:
            away = np.linalg.norm(frustum.position - window.client.camera.position)
            visible = bool(self._frusta.value and away > 2 * FRUSTUM)
            if frustum.visible != visible:
                frustum.visible = visible

    def _go(self, client, view: int) -> None:
        """Moves a window's camera to an input view's."""
        pose = to_pose(self.run.cameras, view)
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
        """Renders the next picture that a window wants; whether one did."""
        full = int(self._height.value)
        waiting = [w for w in list(self._windows.values()) if w.height < full]
        if self.field is None or not waiting:
            return False
        window = min(waiting, key=lambda one: one.height)  # coarse ones of all windows first
        height = max(full // COARSE, 1) if window.height == 0 else full
        window.height = height  # before the camera is read: a move meanwhile makes it 0 again
        began, camera = time.perf_counter(), window.client.camera
        if not camera.image_width or not camera.image_height:  # hidden; it moves when it is not
            return True
        self._show_inputs(window)
        rgb, depth = self.look(camera, camera.aspect, height)
        if window.client.client_id in self._windows:  # not closed meanwhile
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
