"""The shape that the training of a signed distance starts from: the hull of the masks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.ndimage import distance_transform_edt

from jaxvsnerf.fields.build import Field
from jaxvsnerf.fields.sdf import SdfSpec
from jaxvsnerf.rendering.grid import DensityGrid
from jaxvsnerf.types import Array, Context, Params

# Points of a step, half of them in the support, and the learning rate of the fit.
POINTS, RATE = 8192, 1e-3
# Share of the support's cells beside its border that the start leaves out: masks were dilated.
MARGIN = 1.0


def hull_distance(grid: DensityGrid) -> np.ndarray:
    """Signed distances [G, G, G] float32 of the cells' centres from the support, positive outside.

    Args:
      grid: the grid, on the host.
    """
    cell = 2.0 * grid.half_extent / len(grid.support)
    support = np.pad(np.asarray(grid.support), 1)
    outside = distance_transform_edt(~support) - distance_transform_edt(support)
    # Centres lie half a cell from the face between inside and outside.
    outside -= 0.5 * np.sign(outside)
    return (cell * (outside[(slice(1, -1),) * 3] + MARGIN)).astype(np.float32)


def starts_from_hull(field: Field) -> bool:
    """Whether a field is a signed distance that is fitted to the masks' hull first."""
    decoder = field.spec.decoder
    return isinstance(decoder, SdfSpec) and decoder.surface.hull_steps > 0


def fit_distance(
    field: Field, params: Params, distance: Array, half_extent: float, key: Array
) -> Params:
    """Fits a field's signed distance to given distances, without rendering.

    Choice: training starts from the masks' hull. From a sphere it takes thousands of steps to
    carve thin parts.

    Args:
      field: a field of signed distances; its setting `hull_steps` is the number of steps.
      params: initial parameters of one branch.
      distance: [G, G, G] signed distances at the centres of cells, see `hull_distance`.
      half_extent: half the side of the cube that the cells cover.
      key: PRNG key.

    Returns:
      Parameters whose surface is close to the zero set of `distance`.
    """
    resolution, steps = distance.shape[0], field.spec.decoder.surface.hull_steps
    nowhere = jnp.zeros((field.spec.num_views, 3))
    context = Context(nowhere, nowhere, jnp.int32(0))  # mode single reads none of the views
    distance = jnp.asarray(distance)
    order = jnp.argsort(distance.reshape(-1) > 0, stable=True)
    count = jnp.sum(distance <= 0)
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, steps))

    def drawn(key: Array) -> tuple[Array, Array]:
        near, anywhere = jax.random.split(key)
        chosen = order[jax.random.randint(near, (POINTS // 2,), 0, jnp.maximum(count, 1))]
        cells = jax.random.randint(anywhere, (POINTS // 2,), 0, resolution**3)
        cells = jnp.concatenate([chosen, cells])
        place = jnp.stack(jnp.unravel_index(cells, (resolution,) * 3), -1)
        points = ((place + 0.5) / resolution * 2.0 - 1.0) * half_extent
        return points, distance.reshape(-1)[cells]

    def loss(params: Params, key: Array) -> Array:
        points, expected = drawn(key)
        found = -field.surface(params, points, context, "single")
        # Far from the surface the distance need not be exact.
        return jnp.mean(jnp.abs(found - expected) / (0.05 + jnp.abs(expected)))

    def step(index: Array, carry: tuple[Params, optax.OptState]) -> tuple[Params, optax.OptState]:
        params, state = carry
        grads = jax.grad(loss)(params, jax.random.fold_in(key, index))
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state

    return jax.lax.fori_loop(0, steps, step, (params, optimizer.init(params)))[0]
