"""Toy scene: renders a procedural object exactly and makes a data set of the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.geometry.cameras import identity_similarity, orbit_cameras, pixel_rays, take
from jaxvsnerf.simulate.inconsistency import damage_views
from jaxvsnerf.simulate.severity import SEVERITIES
from jaxvsnerf.simulate.toy_object import toy_color, toy_sdf
from jaxvsnerf.system.settings import LARGEST_SEED, check_spec, setting
from jaxvsnerf.types import Array, Cameras, Dataset, ViewSet

HALF_SIDE = 0.5
MAX_STEPS = 160
# Distance at which a ray hits the surface: a tenth of a pixel at 256 px and distance 1.5.
HIT = 5e-4
# Factor on the step: distances are first order (ellipsoids overestimate along their long axes).
CAREFUL = 0.8
# Rays per call (the compiled shape, whatever the picture size) and rays traced together. Few on
# a CPU: a small chunk fits the cache, and each chunk takes as many steps as its slowest ray. Many
# elsewhere, to fill the device.
CPU_BLOCK, CPU_CHUNK = 4096, 128
DEVICE_BLOCK, DEVICE_CHUNK = 65536, 65536


@dataclass(frozen=True)
class ToySpec:
    """The embedded toy, which `data.kind=toy` chooses."""

    size: int = setting(64, "Toy: side of a picture.", at_least=8, at_most=4096, unit="pixels")
    num_views: int = setting(
        16, "Toy: number of input views, evenly spaced on the orbit.", at_least=1, at_most=1024
    )
    severity: str = setting(
        "medium", "Toy: strength of the damage to the input views.", choices=tuple(SEVERITIES)
    )
    seed: int = setting(0, "Toy: seed of the damage.", at_least=0, at_most=LARGEST_SEED)

    def __post_init__(self) -> None:
        check_spec(self, "data")


def render_toy(
    cameras: Cameras, background: np.ndarray | None = None, supersample: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Renders the toy by sphere tracing, with supersample^2 rays per pixel.

    Args:
      cameras: V cameras, in the object's cube.
      background: [3] in [0, 1], white if None.
      supersample: rays along each axis of a pixel, at least 1.

    Returns:
      Images [V, height, width, 3] on the background, and masks [V, height, width], the share
      of each pixel that the toy covers. Both are numpy float32.
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
    """[height * width * supersample^2, 2] positions in pixels, grouped by pixel."""
    inner = (np.arange(supersample) + 0.5) / supersample
    y, x, dy, dx = np.meshgrid(np.arange(height), np.arange(width), inner, inner, indexing="ij")
    return np.stack([x + dx, y + dy], -1).reshape(-1, 2).astype(np.float32)


def _blocks(places: np.ndarray, block: int) -> list[np.ndarray]:
    """Splits places into blocks of one length; pads with places far outside every picture."""
    count = -(-len(places) // block)
    padding = ((0, count * block - len(places)), (0, 0))
    return np.split(np.pad(places, padding, constant_values=-1e6), count)


@partial(jax.jit, static_argnames=("chunk",))
def trace_toy(intrinsics: Array, w2c: Array, places: Array, chunk: int) -> tuple[Array, Array]:
    """Traces rays of one camera.

    Args:
      intrinsics: [3, 3] in pixels.
      w2c: [3, 4] world-to-camera.
      places: [N, 2] positions in pixels.
      chunk: rays traced together, a divisor of N.

    Returns:
      Colours [N, 3], valid where the toy was hit, and hit [N] bool.
    """
    # The picture size of 1 x 1 is unused: rays go through `places`.
    camera = Cameras(intrinsics[None], w2c[None], 1, 1)
    rgb, hit = jax.lax.map(partial(_trace, camera), places.reshape(-1, chunk, 2))
    return rgb.reshape(-1, 3), hit.reshape(-1)


def _trace(camera: Cameras, places: Array) -> tuple[Array, Array]:
    """Colour [N, 3] and hit [N] of rays that advance together until all have stopped."""
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
    size: int = ToySpec.size,
    num_views: int = ToySpec.num_views,
    severity: str = ToySpec.severity,
    seed: int = ToySpec.seed,
    background: np.ndarray | None = None,
) -> Dataset:
    """Makes a data set of damaged input views on SyncDreamer's orbit and held-out true views.

    Args:
      size: side of the square pictures in pixels.
      num_views: input views, evenly spaced at elevation 30 degrees.
      severity: name of the damage's strength, see `severity.SEVERITIES`.
      seed: seed of the damage, at least 0.
      background: [3] in [0, 1], white if None.

    Returns:
      Inputs, the undamaged pictures as `clean`, and 8 truth views halfway between the azimuths of
      a 16-view orbit, alternately at elevations 45 and 10 degrees.
    """
    background = (
        np.ones(3, np.float32) if background is None else np.asarray(background, np.float32)
    )
    azimuth = [360.0 / num_views * k for k in range(num_views)]
    # Halfway between the azimuths of 16 views, so that no truth view is an input view.
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
