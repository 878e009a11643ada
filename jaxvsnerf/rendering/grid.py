"""The density (occupancy) grid over the cube, updated in training; samples are drawn from it."""

from __future__ import annotations

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.types import Array

# Least share of a cell's density that an update keeps: one jittered point can miss the object's
# part in a cell, the points of several updates rarely do.
DECAY = 0.8


@flax.struct.dataclass
class DensityGrid:
    """Density per cell, inside a fixed support.

    Attributes:
      density: [G, G, G] float32 per side of the object's cube, zero outside the support.
      support: [G, G, G] bool, cells where the object can be (the visual hull).
      order: [G^3] int32, flat indices of all cells, cells of the support first.
      num_support: [] int32 number of cells in the support.
      half_extent: half the side of the cube that the grid covers, static.
    """

    density: Array
    support: Array
    order: Array
    num_support: Array
    half_extent: float = flax.struct.field(pytree_node=False)


def init_grid(support: np.ndarray, density: float, half_extent: float) -> DensityGrid:
    """Creates a grid of constant density in the support.

    Args:
      support: [G, G, G] bool, cells where the object can be.
      density: initial density of the support, per side of the object's cube.
      half_extent: half the side of the cube that the grid covers.

    Returns:
      The grid, as numpy arrays.

    Raises:
      InputError: the support is empty.
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
    """Looks up the values of the cells that contain points.

    Args:
      grid: the grid, for the cube's size.
      values: [G, G, G] of any dtype.
      points: [..., 3].

    Returns:
      [...] value of each point's cell; 0 outside the cube.
    """
    resolution = values.shape[0]
    cell = jnp.floor((points / grid.half_extent + 1.0) * (0.5 * resolution)).astype(jnp.int32)
    inside = jnp.all((cell >= 0) & (cell < resolution), -1)
    cell = jnp.clip(cell, 0, resolution - 1)
    flat = (cell[..., 0] * resolution + cell[..., 1]) * resolution + cell[..., 2]
    found = jnp.take(values.reshape(-1), flat, mode="clip")
    return jnp.where(inside, found, jnp.zeros_like(found))


def draw_cells(grid: DensityGrid, key: Array, num: int) -> tuple[Array, Array]:
    """Draws random cells of the support, and a random point in each.

    Args:
      grid: the grid.
      key: PRNG key.
      num: number of cells.

    Returns:
      Flat cell indices [num] int32 and points [num, 3].
    """
    which, where = jax.random.split(key)
    # A random start and a stride through the list repeat no cell while the support has enough.
    start = jax.random.randint(which, (), 0, grid.num_support)
    stride = jnp.maximum(grid.num_support // num, 1)
    cells = grid.order[(start + jnp.arange(num) * stride) % grid.num_support]
    resolution = grid.density.shape[0]
    corner = jnp.stack(jnp.unravel_index(cells, (resolution,) * 3), -1)
    inside = jax.random.uniform(where, (num, 3))
    return cells, ((corner + inside) / resolution * 2.0 - 1.0) * grid.half_extent


def free_points(grid: DensityGrid | None, key: Array, num: int, half_extent: float) -> Array:
    """Points [num, 3] drawn evenly from the grid's support, whatever can be seen of them.

    Args:
      grid: the grid; None draws from the whole cube.
      key: PRNG key.
      num: number of points.
      half_extent: half the side of the cube.
    """
    if grid is None:
        return jax.random.uniform(key, (num, 3), minval=-half_extent, maxval=half_extent)
    return draw_cells(grid, key, num)[1]


def update_grid(
    grid: DensityGrid, density_fn: Callable[[Array], Array], key: Array, num: int
) -> DensityGrid:
    """Updates a part of the grid with densities of the field.

    Args:
      grid: the grid.
      density_fn: points [num, 3] -> density [num] per cube side.
      key: PRNG key, the same on every device.
      num: number of cells to update.

    Returns:
      The grid with density = max(DECAY * density, queried density) in the updated cells.
    """
    cells, points = draw_cells(grid, key, num)
    flat = grid.density.reshape(-1)
    # In a small support cells are drawn several times: mark, decay once, then take the maximum,
    # so that the order of equal cells does not matter.
    touched = jnp.zeros(flat.shape, bool).at[cells].set(True)
    decayed = jnp.where(touched, DECAY * flat, flat)
    fresh = decayed.at[cells].max(jax.lax.stop_gradient(density_fn(points)))
    return grid.replace(density=fresh.reshape(grid.density.shape))
