"""The rays of a step: drawn on the device, the same for any number of devices."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import flax.struct
import jax
import jax.numpy as jnp

from jaxvsnerf.geometry.cameras import pixel_rays
from jaxvsnerf.rendering.sampling import Level
from jaxvsnerf.training.losses import LossSpec
from jaxvsnerf.training.rays import RayTable, draw_rows
from jaxvsnerf.training.stages import StageSpec
from jaxvsnerf.types import Array, Cameras, Context, Rays


@dataclass(frozen=True)
class StepSpec:
    """What all stages share.

    Attributes:
      levels: where to sample.
      loss: what to minimise.
      background_share: share of the rays drawn away from the masks, 0 to 1.
      grid_every: steps between two updates of the density grid; at least 1.
      grid_cells: cells looked at in one update; at least 1.
      half_extent: half the side of the sampled cube.
    """

    levels: tuple[Level, ...]
    loss: LossSpec
    background_share: float
    grid_every: int
    grid_cells: int
    half_extent: float


@flax.struct.dataclass
class Scene:
    """What a stage reads and never changes; it lives on the devices.

    Attributes:
      table: the training pixels.
      cameras: of the V input views.
      context: of the field.
      background: [3].
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
      rays: [V, R].
      rgb: [V, R, 3] what the pictures show.
      mask: [V, R] opacity, or None where unknown.
      keys: [V, R] PRNG keys of the jitter.
    """

    rays: Rays
    rgb: Array
    mask: Array | None
    keys: Array


def stream(key: Array, name: str) -> Array:
    """The child key of a named stream."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()) & 0x7FFFFFFF)


def rays_per_device(stage: StageSpec, num_views: int, num_devices: int) -> int:
    """Rays per view and device: the stage's rays in equal shares, rounded up."""
    return -(-stage.rays // (num_views * num_devices))


def draw_batch(
    scene: Scene, key: Array, device: Array, local: int, num_devices: int, spec: StepSpec
) -> Batch:
    """This device's `local` rays of every view.

    Everything is drawn for all devices and cut here, so that as long as the rays divide
    evenly the number of devices does not change what is computed.
    """
    num_views = scene.context.view_dirs.shape[0]
    rows = draw_rows(scene.table, stream(key, "rays"), local * num_devices, spec.background_share)
    rows = jax.lax.dynamic_slice_in_dim(rows, device * local, local, 1)
    keys = jax.random.split(stream(key, "jitter"), (num_views, local * num_devices))
    keys = jax.lax.dynamic_slice_in_dim(keys, device * local, local, 1)
    views = jnp.broadcast_to(jnp.arange(num_views)[:, None], rows.shape)
    return Batch(
        rays=pixel_rays(scene.cameras, views, scene.table.pixels[rows], spec.half_extent),
        rgb=scene.table.rgb[rows],
        mask=scene.table.mask[rows] if scene.table.has_mask else None,
        keys=keys,
    )
