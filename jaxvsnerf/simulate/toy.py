"""The toy scene: exact pictures of a procedural object, and a data set made of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import identity_similarity, orbit_cameras, pixel_rays, take
from jaxvsnerf.simulate.inconsistency import damage_views
from jaxvsnerf.simulate.severity import SEVERITIES
from jaxvsnerf.simulate.toy_object import toy_color, toy_sdf
from jaxvsnerf.types import Array, Cameras, Dataset, ViewSet

HALF_SIDE = 0.5
MAX_STEPS = 160
# A ray this close to the surface has hit it: a tenth of a pixel at 256 px and distance 1.5.
HIT = 5e-4
# The parts' distances are first order (ellipsoids overestimate inside their long axes).
CAREFUL = 0.8
# Rays of one call (the shape that is compiled, whatever the picture size) and rays traced
# together: on a CPU few, since each chunk takes the steps of its slowest ray and fits the
# cache; elsewhere many, to fill the device.
CPU_BLOCK, CPU_CHUNK = 4096, 128
DEVICE_BLOCK, DEVICE_CHUNK = 65536, 65536


@dataclass(frozen=True)
class ToySpec:
    """The embedded toy.

    Attributes:
      size: toy: picture side in pixels; at least 8.
      num_views: toy: input views on the orbit; at least 1.
      severity: toy: 'clean', 'mild', 'medium' or 'severe' damage to the inputs.
      seed: toy: seed of the damage; at least 0.
    """

    size: int = 64
    num_views: int = 16
    severity: str = "medium"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            choices = " | ".join(map(repr, SEVERITIES))
            raise InputError(f"severity must be {choices}, got {self.severity!r}")
        for name, least in (("size", 8), ("num_views", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} must be whole numbers of at least {least}, got {value!r}")


def render_toy(
    cameras: Cameras, background: np.ndarray | None = None, supersample: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Renders the toy by sphere tracing, with supersample^2 rays a pixel.

    Args:
      cameras: V cameras, any rig in the object's cube.
      background: [3] in [0, 1], white if None.
      supersample: rays along each axis of a pixel.

    Returns:
      images [V, height, width, 3] on the background, masks [V, height, width]: the share
      of each pixel that the toy covers. Both numpy float32.
    """
    background = np.ones(3) if background is None else np.asarray(background)
    height, width = cameras.height, cameras.width
    on_cpu = jax.default_backend() == "cpu"
    block, chunk = (CPU_BLOCK, CPU_CHUNK) if on_cpu else (DEVICE_BLOCK, DEVICE_CHUNK)
    places = _places(width, height, supersample)
    views = [
        [trace_toy(k, w2c, part, chunk) for part in _blocks(places, block)]
        for k, w2c in zip(np.asarray(cameras.intrinsics), np.asarray(cameras.w2c), strict=True)
    ]
    images, masks = [], []
    for parts in views:
        rgb = np.concatenate([part[0] for part in parts])[: len(places)]
        hit = np.concatenate([part[1] for part in parts])[: len(places), None]
        rgb = np.where(hit, rgb, background).reshape(height, width, -1, 3)
        images.append(rgb.mean(2))
        masks.append(hit.reshape(height, width, -1).mean(2))
    return np.stack(images).astype(np.float32), np.stack(masks).astype(np.float32)


def _places(width: int, height: int, supersample: int) -> np.ndarray:
    """[height width supersample^2, 2] positions in pixels, those of a pixel together."""
    inner = (np.arange(supersample) + 0.5) / supersample
    y, x, dy, dx = np.meshgrid(np.arange(height), np.arange(width), inner, inner, indexing="ij")
    return np.stack([x + dx, y + dy], -1).reshape(-1, 2).astype(np.float32)


def _blocks(places: np.ndarray, block: int) -> list[np.ndarray]:
    """Parts of one length; the last is filled with places far outside every picture."""
    count = -(-len(places) // block)
    padding = ((0, count * block - len(places)), (0, 0))
    return np.split(np.pad(places, padding, constant_values=-1e6), count)


@partial(jax.jit, static_argnames=("chunk",))
def trace_toy(intrinsics: Array, w2c: Array, places: Array, chunk: int) -> tuple[Array, Array]:
    """Traces rays of one camera.

    Args:
      intrinsics: [3, 3] in pixels.
      w2c: [3, 4].
      places: [N, 2] positions in pixels.
      chunk: rays traced together, a divisor of N.

    Returns:
      rgb [N, 3] where the toy was hit, hit [N] bool.
    """
    # The size is unused: rays go through the places.
    camera = Cameras(intrinsics[None], w2c[None], 1, 1)
    rgb, hit = jax.lax.map(partial(_trace, camera), places.reshape(-1, chunk, 2))
    return rgb.reshape(-1, 3), hit.reshape(-1)


def _trace(camera: Cameras, places: Array) -> tuple[Array, Array]:
    """Colour [N, 3] and hit [N] of rays that advance together until all are done."""
    rays = pixel_rays(camera, jnp.zeros(len(places), jnp.int32), places, HALF_SIDE)
    norm = jnp.linalg.norm(rays.directions, axis=-1)
    near, far = rays.near[..., 0] * norm, rays.far[..., 0] * norm

    def unfinished(carry):
        step, t, distance = carry
        return (step < MAX_STEPS) & jnp.any((distance > HIT) & (t < far))

    def advance(carry):
        step, t, distance = carry
        t = jnp.where((distance > HIT) & (t < far), t + CAREFUL * distance, t)
        return step + 1, t, toy_sdf(rays.origins + t[:, None] * rays.viewdirs)

    start = (0, near, toy_sdf(rays.origins + near[:, None] * rays.viewdirs))
    _, t, distance = jax.lax.while_loop(unfinished, advance, start)
    hit = (distance <= HIT) & (t < far)
    points = rays.origins + t[:, None] * rays.viewdirs
    return jax.lax.cond(hit.any(), toy_color, jnp.zeros_like, points), hit


def toy_dataset(
    size: int = 64,
    num_views: int = 16,
    severity: str = "medium",
    seed: int = 0,
    background: np.ndarray | None = None,
) -> Dataset:
    """Damaged input views on SyncDreamer's orbit and held-out true views.

    Args:
      size: side of the square pictures in pixels.
      num_views: input views, evenly spaced at elevation 30.
      severity: name of the damage, see `severity.SEVERITIES`.
      seed: seed of the damage.
      background: [3] in [0, 1], white if None.

    Returns:
      Inputs, their undamaged pictures as `clean`, and 8 truth views between the
      azimuths of a 16-view orbit, in turn at elevation 45 and 10.
    """
    background = (
        np.ones(3, np.float32) if background is None else np.asarray(background, np.float32)
    )
    azimuth = [360.0 / num_views * k for k in range(num_views)]
    # Halfway between the azimuths of 16 views; never an input's, elevations aside.
    gaps = [45.0 * k + 11.25 for k in range(8)]
    elevations = [45.0, 10.0] * 4
    focal_px = 280.0 * size / 256.0
    cameras = orbit_cameras(
        azimuth + gaps, [30.0] * num_views + elevations, 1.5, focal_px, size, size
    )
    images, masks = render_toy(cameras, background)

    def views(first: int, last: int) -> ViewSet:
        kind = "held_out_" if first else ""
        names = tuple(f"{kind}{k:03d}" for k in range(last - first))
        chosen = take(cameras, range(first, last))
        return ViewSet(images[first:last], masks[first:last], chosen, background, names)

    inputs, truth = views(0, num_views), views(num_views, len(images))
    damaged = damage_views(inputs, severity, seed)
    return Dataset(damaged, truth, inputs.images, identity_similarity())
