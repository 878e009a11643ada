"""The density grid over the cube: where samples go, learned while the field trains."""

from __future__ import annotations

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.types import Array

# An update keeps this share of a cell's density where the field now says less: one
# jittered point can miss what is in a cell, several cannot.
DECAY = 0.8


@flax.struct.dataclass
class DensityGrid:
    """Density per cell, inside a fixed support.

    Attributes:
      density: [G, G, G] float32 per cube side, zero outside the support.
      support: [G, G, G] bool, where the object can be (the visual hull).
      order: [G^3] int32, the flat cells with those of the support first.
      num_support: [] int32 cells in the support.
      half_extent: half the side of the cube it covers, static.
    """

    density: Array
    support: Array
    order: Array
    num_support: Array
    half_extent: float = flax.struct.field(pytree_node=False)


def init_grid(support: np.ndarray, density: float, half_extent: float) -> DensityGrid:
    """A grid of constant density in `support` [G, G, G] bool.

    Raises:
      ValueError: the support is empty.
    """
    support = np.asarray(support, bool)
    if not support.any():
        raise InputError(
            "the masks' visual hull is empty: the masks and the cameras do not belong together; "
            "check the order of the views, the rig, or set data.mask='none'"
        )
    order = np.argsort(~support.reshape(-1), kind="stable").astype(np.int32)
    return DensityGrid(
        density=np.float32(density) * support,
        support=support,
        order=order,
        num_support=np.asarray(support.sum(), np.int32),
        half_extent=half_extent,
    )


def lookup(grid: DensityGrid, values: Array, points: Array) -> Array:
    """values [G, G, G] of the cell each point [..., 3] lies in; 0 outside the cube."""
    resolution = values.shape[0]
    cell = jnp.floor((points / grid.half_extent + 1.0) * (0.5 * resolution)).astype(jnp.int32)
    inside = jnp.all((cell >= 0) & (cell < resolution), -1)
    cell = jnp.clip(cell, 0, resolution - 1)
    flat = (cell[..., 0] * resolution + cell[..., 1]) * resolution + cell[..., 2]
    found = jnp.take(values.reshape(-1), flat, mode="clip")
    return jnp.where(inside, found, jnp.zeros_like(found))


def draw_cells(grid: DensityGrid, key: Array, num: int) -> tuple[Array, Array]:
    """Random cells of the support, with a random point in each.

    Args:
      grid: the grid.
      key: PRNG key.
      num: how many.

    Returns:
      flat cells [num] int32 and points [num, 3].
    """
    which, where = jax.random.split(key)
    # Without replacement as far as it goes: a random start and a stride through the list.
    start = jax.random.randint(which, (), 0, grid.num_support)
    stride = jnp.maximum(grid.num_support // num, 1)
    cells = grid.order[(start + jnp.arange(num) * stride) % grid.num_support]
    resolution = grid.density.shape[0]
    corner = jnp.stack(jnp.unravel_index(cells, (resolution,) * 3), -1)
    inside = jax.random.uniform(where, (num, 3))
    return cells, ((corner + inside) / resolution * 2.0 - 1.0) * grid.half_extent


def update_grid(
    grid: DensityGrid, density_fn: Callable[[Array], Array], key: Array, num: int
) -> DensityGrid:
    """Moves part of the grid towards the field.

    Args:
      grid: the grid.
      density_fn: points [num, 3] -> density [num] per cube side.
      key: PRNG key, the same on every device.
      num: cells to look at.

    Returns:
      The grid with density = max(DECAY * density, seen) in the cells looked at.
    """
    cells, points = draw_cells(grid, key, num)
    flat = grid.density.reshape(-1)
    # A small support is drawn several times over: mark, decay once, then take the
    # maximum, so that the order of equal cells does not matter.
    touched = jnp.zeros(flat.shape, bool).at[cells].set(True)
    decayed = jnp.where(touched, DECAY * flat, flat)
    fresh = decayed.at[cells].max(jax.lax.stop_gradient(density_fn(points)))
    return grid.replace(density=fresh.reshape(grid.density.shape))
