"""Which views are made of which photo, with what: a request that is checked and settled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.generation.cutout import load_remover
from jaxvsnerf.generation.networks import param_shapes
from jaxvsnerf.generation.photo import (
    CROP_SIZE,
    check_crop_size,
    check_elevation,
    prepare_photo,
    read_photo,
)
from jaxvsnerf.generation.spec import NUM_VIEWS
from jaxvsnerf.generation.weights import WeightsInfo, read_info
from jaxvsnerf.system import cli
from jaxvsnerf.system.paths import find_path

GUIDANCE = {"syncdreamer": 2.0, "zero123": 3.0}
# What sampling takes beside the weights for each of the views that run at a time, in bytes, with
# room to spare: 0.05e9 and 0.1e9 of them were measured over 2e9 (experiments/generation_speed).
VIEW_BYTES = {"bfloat16": 0.2e9, "float32": 0.5e9}
CPU_VIEW_BATCH = 4


@dataclass(frozen=True)
class Request:
    """What is made of which photo.

    Attributes:
      image: the photo, with a transparent background or to be cut out.
      weights: folder of weights, which say the model.
      elevation_deg: SyncDreamer: how far above the object's horizon the photo's camera stood.
      azimuth_deg: Zero-1-to-3: how far the new camera goes round the object, counter-clockwise
        seen from above.
      rise_deg: Zero-1-to-3: how much higher it stands than the photo's.
      seed: of all that is random.
      samples: how many sets of views.
      guidance: how closely they follow the photo, 1 for half the time; None is the model's own.
      steps: of denoising.
      crop_size: the object's longer side in pixels, -1 leaves the photo as it is.
      cutout: what removes the background of an opaque photo: a model of rembg or its .onnx
        file; '' refuses such a photo.
      view_batch: views at a time, 0 for what the device's memory allows.
      dtype: `float32`, `bfloat16`, or `auto`: bfloat16 but on a CPU.
    """

    image: str
    weights: str
    elevation_deg: float | None = None
    azimuth_deg: float | None = None
    rise_deg: float | None = None
    seed: int = 0
    samples: int = 1
    guidance: float | None = None
    steps: int = 50
    crop_size: int = CROP_SIZE
    cutout: str = ""
    view_batch: int = 0
    dtype: str = "auto"


@dataclass(frozen=True)
class Plan:
    """A request whose files were read, but for the weights' arrays.

    Attributes:
      request: with nothing left to the model or the machine.
      cut: [height, width, 4] uint8, the photo's object, straight alpha.
      photo: [256, 256, 3] in [-1, 1], as the model sees it.
      info: what the weights are.
      devices: local devices that share the samples.
    """

    request: Request
    cut: np.ndarray
    photo: np.ndarray
    info: WeightsInfo
    devices: tuple[jax.Device, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """What the views depend on, as JSON holds it."""
        settings = asdict(self.request)
        for name in ("image", "weights", "view_batch"):
            del settings[name]
        if not settings["cutout"]:  # as before there was a choice
            del settings["cutout"]
        sources = [source.sha256 for source in self.info.sources]
        return {**settings, "model": self.info.model, "sources": sources}


def plan_request(request: Request, say: Callable[..., None] = cli.say) -> Plan:
    """Reads the photo and what the weights are, and settles what was left open.

    Args:
      request: as the user has it.
      say: takes a line of advice.

    Raises:
      ValueError, FileNotFoundError: something given is wrong or missing.
    """
    for name in ("image", "weights"):
        if not getattr(request, name):
            raise InputError(f"--{name}: expected a name, got nothing")
    check_crop_size(request.crop_size)
    if request.view_batch and NUM_VIEWS % request.view_batch:
        raise InputError(
            f"--view_batch: expected 0 or a divisor of {NUM_VIEWS}, got {request.view_batch}"
        )
    path = find_path(request.image)
    remover = load_remover(request.cutout) if request.cutout else None
    cut = read_photo(path, remover)
    photo = prepare_photo(cut, request.crop_size)
    info = read_info(Path(request.weights).expanduser())
    request = _with_camera(request, info.model, say)
    # Zero-1-to-3's one view takes a second; SyncDreamer's samples are shared by the devices.
    count = request.samples if info.model == "syncdreamer" else 1
    devices = tuple(jax.local_devices())[:count]
    dtype = request.dtype
    if dtype == "auto":
        dtype = "float32" if devices[0].platform == "cpu" else "bfloat16"
    guidance = GUIDANCE[info.model] if request.guidance is None else request.guidance
    if not np.isfinite(guidance):
        raise InputError(f"--guidance: expected a number, got {guidance}")
    batch = request.view_batch or fitting_view_batch(devices[0], info, dtype)
    settled = replace(request, dtype=dtype, guidance=guidance, view_batch=batch)
    return Plan(settled, cut, photo, info, devices)


def fitting_view_batch(device: jax.Device, info: WeightsInfo, dtype: str) -> int:
    """The most views at a time, a divisor of 16, that the device has memory for."""
    limit = (device.memory_stats() or {}).get("bytes_limit")
    if not limit:
        return CPU_VIEW_BATCH
    numbers = sum(leaf.size for leaf in jax.tree.leaves(param_shapes(info.spec, info.model)))
    room = limit - numbers * jnp.dtype(dtype).itemsize
    fitting = [n for n in (16, 8, 4, 2) if n * VIEW_BYTES[dtype] <= room]
    return fitting[0] if fitting else 1


def _with_camera(request: Request, model: str, say: Callable[..., None]) -> Request:
    """The request with all cameras that the model takes, and no others.

    Raises:
      ValueError: one is missing, out of range, or of the other model.
    """
    turned = {name: getattr(request, name) for name in ("azimuth_deg", "rise_deg")}
    given = [f"--{name}" for name, value in turned.items() if value is not None]
    if model == "syncdreamer":
        if given:
            raise InputError(
                f"{', '.join(given)}: SyncDreamer's 16 views are always the same, azimuths 22.5 "
                "degrees apart; one view from another camera takes weights of zero123"
            )
        if request.elevation_deg is None:
            raise InputError(
                "--elevation_deg: expected how far above the object's horizon the photo's camera "
                "stood, in degrees; 0 is level with it, 30 looks down on it"
            )
        if advice := check_elevation(request.elevation_deg):
            say(advice)
        return request
    if request.elevation_deg is not None:
        raise InputError(
            "--elevation_deg: Zero-1-to-3 does not take the photo's elevation; the new camera is "
            "given by --azimuth_deg and --rise_deg from the photo's"
        )
    if not given:
        raise InputError("--azimuth_deg, --rise_deg: expected where the new camera stands")
    if request.steps < 2:
        raise InputError(f"--steps: expected at least 2 of Zero-1-to-3, got {request.steps}")
    settled = {name: value or 0.0 for name, value in turned.items()}
    for name, limit in (("azimuth_deg", 360.0), ("rise_deg", 90.0)):
        if not abs(settled[name]) <= limit:
            raise InputError(
                f"--{name}: expected degrees in [-{limit:g}, {limit:g}], got {settled[name]:g}"
            )
    return replace(request, **settled)
