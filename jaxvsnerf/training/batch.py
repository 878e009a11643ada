"""The rays of a train step: drawn on the device, equal for any number of devices."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import flax.struct
import jax
import jax.numpy as jnp

from jaxvsnerf.geometry.cameras import HALF_EXTENT, pixel_rays
from jaxvsnerf.rendering.grid import DensityGrid, free_points
from jaxvsnerf.rendering.sampling import Level
from jaxvsnerf.system.settings import check_spec, setting
from jaxvsnerf.training.losses import LossSpec
from jaxvsnerf.training.rays import RayTable, draw_rows
from jaxvsnerf.training.stages import StageSpec
from jaxvsnerf.types import Array, Cameras, Context, Rays


@dataclass(frozen=True)
class TableSpec:
    """Which pixels become training rays."""

    near_px: int = setting(
        6,
        "Rays within this distance of a mask count as near the object; -1 counts all rays.",
        at_least=-1,
        at_most=100_000,
        unit="pixels",
    )

    def __post_init__(self):
        check_spec(self, "sampling")


@dataclass(frozen=True)
class StepSpec:
    """What the steps of all stages share.

    Attributes:
      levels: where rays are sampled.
      loss: what is minimised.
      half_extent: half the side of the sampled cube.
    """

    levels: tuple[Level, ...]
    loss: LossSpec
    background_share: float = setting(
        0.1, "Share of the rays that are drawn away from the masks.", at_least=0, at_most=1
    )
    grid_every: int = setting(
        8, "Steps between two updates of the density grid.", at_least=1, at_most=1_000_000
    )
    grid_cells: int = setting(
        65536, "Cells of the density grid that one update looks at.", at_least=1, at_most=2**24
    )
    half_extent: float = HALF_EXTENT

    def __post_init__(self):
        check_spec(self, "sampling")


@flax.struct.dataclass
class Scene:
    """Constant training data of a stage, on the devices.

    Attributes:
      table: the training pixels.
      cameras: cameras of the V input views; each K is in the pixels of its own picture.
      context: context of the field.
      background: [3] colour.
      trust: [V] weights of the views' rays, see `view_trust`.
    """

    table: RayTable
    cameras: Cameras
    context: Context
    background: Array
    trust: Array


@flax.struct.dataclass
class Batch:
    """The rays of one step on one device, grouped by view.

    Attributes:
      rays: [V, R] rays.
      rgb: [V, R, 3] colours of the pictures.
      mask: [V, R] opacity, or None if unknown.
      keys: [V, R] PRNG keys of the jitter along rays.
      points: [V, R, 3] points drawn evenly from where the object can be, or None.
    """

    rays: Rays
    rgb: Array
    mask: Array | None
    keys: Array
    points: Array | None


def stream(key: Array, name: str) -> Array:
    """The child key of a named random stream."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()) & 0x7FFFFFFF)


def rays_per_device(stage: StageSpec, num_views: int, num_devices: int) -> int:
    """Rays per view and device: the stage's rays in equal shares, rounded up.

    Args:
      stage: the stage.
      num_views: V.
      num_devices: number of devices that share a step.
    """
    return -(-stage.rays // (num_views * num_devices))


def draw_batch(
    scene: Scene,
    key: Array,
    device: Array,
    local: int,
    num_devices: int,
    spec: StepSpec,
    grid: DensityGrid | None,
) -> Batch:
    """Draws this device's share of a step's rays.

    The rays of all devices are drawn and this device's share is cut out: if the rays divide
    evenly, results do not depend on the number of devices.

    Args:
      scene: training data.
      key: PRNG key of the step, the same on every device.
      device: [] int32 index of this device.
      local: R, rays per view on this device.
      num_devices: number of devices that share the step.
      spec: settings common to all stages.
      grid: density grid, or None; its support is where free points are drawn.
    """
    num_views = scene.context.view_dirs.shape[0]
    total = local * num_devices

    def own(all_rays: Array) -> Array:
        return jax.lax.dynamic_slice_in_dim(all_rays, device * local, local, 1)

    rows = own(draw_rows(scene.table, stream(key, "rays"), total, spec.background_share))
    keys = own(jax.random.split(stream(key, "jitter"), (num_views, total)))
    points = None
    if spec.loss.terms.eikonal:
        points = free_points(grid, stream(key, "points"), num_views * total, spec.half_extent)
        points = own(points.reshape(num_views, total, 3))
    views = jnp.broadcast_to(jnp.arange(num_views)[:, None], rows.shape)
    return Batch(
        rays=pixel_rays(scene.cameras, views, scene.table.pixels[rows], spec.half_extent),
        rgb=scene.table.rgb[rows],
        mask=scene.table.mask[rows] if scene.table.has_mask else None,
        keys=keys,
        points=points,
    )
