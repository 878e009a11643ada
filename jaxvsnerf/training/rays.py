"""The ray table: all training pixels on the device; the train step draws rows of it."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.geometry.hull import dilate_masks
from jaxvsnerf.types import Array, ViewSet


@flax.struct.dataclass
class RayTable:
    """N pixels, sorted by view; within a view, pixels near the mask come first.

    Attributes:
      pixels: [N, 2] positions (x, y) in pixels.
      rgb: [N, 3] colours on the background, in [0, 1].
      mask: [N] opacity in [0, 1]; all 1 if the masks are unknown (`has_mask` False).
      starts: [V, 2] int32 first row of each view's near pixels and of its background pixels.
      counts: [V, 2] int32 number of each view's near pixels and of its background pixels.
      has_mask: whether masks are known, static.
    """

    pixels: Array
    rgb: Array
    mask: Array
    starts: Array
    counts: Array
    has_mask: bool = flax.struct.field(pytree_node=False)


def build_ray_table(views: ViewSet, near_px: int) -> RayTable:
    """Builds the table of all pixels of `views`.

    Args:
      views: V posed pictures.
      near_px: distance to the mask in pixels up to which a pixel counts as near; if negative, or
        without masks, all pixels count as near.
    """
    num_views, height, width = views.images.shape[:3]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.broadcast_to(np.stack([x, y], -1).reshape(1, -1, 2), (num_views, height * width, 2))
    has_mask = views.masks is not None
    masks = views.masks if has_mask else np.ones(views.images.shape[:3], np.float32)
    near = np.ones((num_views, height * width), bool)
    if has_mask and near_px >= 0:
        near = (dilate_masks(masks, near_px) > 0).reshape(num_views, -1)
    order = np.argsort(~near, axis=1, kind="stable")
    rows = np.arange(num_views)[:, None]
    counts = np.stack([near.sum(1), (~near).sum(1)], 1)
    starts = np.arange(num_views)[:, None] * height * width + np.stack(
        [np.zeros(num_views, int), counts[:, 0]], 1
    )
    return RayTable(
        pixels=pixels[rows, order].reshape(-1, 2).astype(np.float32),
        rgb=np.asarray(views.images).reshape(num_views, -1, 3)[rows, order].reshape(-1, 3),
        mask=np.asarray(masks).reshape(num_views, -1)[rows, order].reshape(-1),
        starts=starts.astype(np.int32),
        counts=counts.astype(np.int32),
        has_mask=has_mask,
    )


def build_all_tables(views: ViewSet, photo: ViewSet | None, near_px: int) -> RayTable:
    """Builds the table of all pixels of the views, followed by the photo's pixels.

    Args:
      views: V posed pictures.
      photo: one more posed picture, of any size, or None.
      near_px: see `build_ray_table`, in pixels of the views; scaled to the photo's focal length.
    """
    table = build_ray_table(views, near_px)
    if photo is None:
        return table
    zoom = float(photo.cameras.intrinsics[0, 0, 0] / views.cameras.intrinsics[0, 0, 0])
    return join_tables(table, build_ray_table(photo, round(near_px * zoom)))


def join_tables(first: RayTable, second: RayTable) -> RayTable:
    """Concatenates two tables, whose pictures may differ in size.

    Raises:
      ValueError: only one of the tables has masks.
    """
    if first.has_mask != second.has_mask:
        raise ValueError("expected two tables with masks, or two without")
    joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), first, second)
    starts = np.concatenate([first.starts, second.starts + np.int32(len(first.pixels))])
    return joined.replace(starts=starts)


def draw_rows(table: RayTable, key: Array, rays_per_view: int, background_share: float) -> Array:
    """Draws random rows of the table, the same number from every view.

    Args:
      table: the ray table.
      key: PRNG key.
      rays_per_view: R.
      background_share: probability of a background pixel, 0 to 1.

    Returns:
      [V, R] int32 rows. A view with only one kind of pixel gives that kind.
    """
    num_views = table.starts.shape[0]
    which, where = jax.random.split(key)
    shape = (num_views, rays_per_view)
    kind = (jax.random.uniform(which, shape) < background_share).astype(jnp.int32)
    view = jnp.arange(num_views)[:, None]
    kind = jnp.where(table.counts[view, kind] > 0, kind, 1 - kind)
    count = table.counts[view, kind]
    return table.starts[view, kind] + jax.random.randint(where, shape, 0, count)
