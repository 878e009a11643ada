"""A request for views of a photo: checks the request and replaces its open values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
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
from jaxvsnerf.system.paths import find_path, user_path

GUIDANCE = {"syncdreamer": 2.0, "zero123": 3.0}
# Memory of sampling per view computed at a time, in bytes, without the weights and with a margin:
# 0.05e9 and 0.1e9 were measured, over a constant 2e9 (experiments/generation_speed).
VIEW_BYTES = {"bfloat16": 0.2e9, "float32": 0.5e9}
CPU_VIEW_BATCH = 4


@dataclass(frozen=True)
class Request:
    """A request for generated views.

    Attributes:
      image: the photo, with a transparent background, or opaque with `cutout`.
      weights: folder of weights; the weights determine the model.
      elevation_deg: SyncDreamer: elevation of the photo's camera above the object's horizon.
      azimuth_deg: Zero-1-to-3: azimuth of the new camera relative to the photo's,
        counter-clockwise seen from above.
      rise_deg: Zero-1-to-3: elevation of the new camera relative to the photo's.
      seed: seed of all random numbers.
      samples: number of sets of views.
      guidance: how closely the views follow the photo; 1 takes half the time; None uses the
        model's default.
      steps: number of denoising steps.
      crop_size: the object's longer side in pixels; -1 does not crop the photo.
      cutout: removes the background of an opaque photo: the name of a rembg model or the path of
        an .onnx file; '' refuses an opaque photo.
      view_batch: views computed at a time; 0 chooses by the device's memory.
      dtype: `float32`, `bfloat16`, or `auto`: float32 on a CPU, bfloat16 elsewhere.
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
    """A checked request with its files read, except the arrays of the weights.

    Attributes:
      request: the request without open values.
      cut: [height, width, 4] uint8, the photo's object, straight alpha.
      photo: [256, 256, 3] in [-1, 1], the input of the model.
      info: model, sizes and sources of the weights.
      devices: local devices that share the samples.
    """

    request: Request
    cut: np.ndarray
    photo: np.ndarray
    info: WeightsInfo
    devices: tuple[jax.Device, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """All settings that the views depend on, ready for JSON."""
        settings = asdict(self.request)
        for name in ("image", "weights", "view_batch"):
            del settings[name]
        if not settings["cutout"]:  # equals the settings of runs older than `cutout`
            del settings["cutout"]
        sources = [source.sha256 for source in self.info.sources]
        return {**settings, "model": self.info.model, "sources": sources}


def plan_request(request: Request, say: Callable[..., None] = cli.say) -> Plan:
    """Reads the photo and the facts of the weights, and replaces open values of the request.

    Args:
      request: the user's request.
      say: takes a line of advice.

    Raises:
      InputError: a value of the request is wrong.
      MissingFile: the photo or the weights do not exist.
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
    info = read_info(user_path(request.weights))
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
    """Returns the largest divisor of 16 for which that many views fit the device's memory.

    Args:
      device: the device.
      info: facts of the weights.
      dtype: dtype of weights and products.
    """
    limit = (device.memory_stats() or {}).get("bytes_limit")
    if not limit:
        return CPU_VIEW_BATCH
    numbers = sum(leaf.size for leaf in jax.tree.leaves(param_shapes(info.spec, info.model)))
    room = limit - numbers * jnp.dtype(dtype).itemsize
    fitting = [n for n in (16, 8, 4, 2) if n * VIEW_BYTES[dtype] <= room]
    return fitting[0] if fitting else 1


def _with_camera(request: Request, model: str, say: Callable[..., None]) -> Request:
    """Checks that the request has exactly the camera angles that the model needs.

    Raises:
      InputError: an angle is missing, out of range, or belongs to the other model.
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
