"""Opacity of rays through pieces of a support, against Beer and Lambert's closed form."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.rendering.grid import init_grid, lookup
from jaxvsnerf.rendering.images import MARCH_PART
from jaxvsnerf.rendering.render import make_samples, render_rays
from jaxvsnerf.rendering.sampling import GridLevel, level_intervals
from jaxvsnerf.rendering.sparse import march
from jaxvsnerf.types import FieldOut, Rays

SIDE, HALF, DENSITY, RAYS = 48, 0.6, 1.67, 64
CELL = 2 * HALF / SIDE
WHITE = jnp.ones(3)
# Cells along x that belong to the support, from (first, last) of each piece.
PIECES = {
    "two boxes": [(8, 20), (28, 40)],
    "a gap of two cells": [(8, 23), (25, 40)],
    "a wide gap": [(2, 6), (44, 47)],
    "uneven pieces": [(4, 6), (24, 28), (32, 46)],
    "one piece": [(10, 38)],
    "everything": [(0, 48)],
}


def slabs(pieces):
    support = np.zeros((SIDE,) * 3, bool)
    for first, last in pieces:
        support[first:last] = True
    return init_grid(support, 5.0, HALF)


def fog(samples):
    rgb = jnp.full((*samples.lengths.shape, 3), 0.5)
    return FieldOut(DENSITY * samples.lengths, rgb, {})


def cross(direction, speed=1.0):
    """64 equal rays through the cube's middle; `speed` is the length of the directions."""
    unit = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    origin = -1.5 * unit + (0.0, 0.003, 0.002)
    with np.errstate(divide="ignore"):
        ends = np.sort([(-HALF - origin) / unit, (HALF - origin) / unit], 0)
    near, far = ends[0].max(), ends[1].min()

    def many(value):
        value = np.atleast_1d(np.asarray(value, np.float32))
        return jnp.asarray(np.broadcast_to(value, (RAYS, len(value))))

    return Rays(
        origins=many(origin), directions=many(speed * unit), viewdirs=many(unit),
        radii=many(0.001), near=many(near / speed), far=many(far / speed),
        view_index=jnp.zeros(RAYS, jnp.int32),
    )  # fmt: skip


@partial(jax.jit, static_argnums=(0, 1))
def opacities(num, marched, rays, grid, keys):
    field = march(fog, grid, MARCH_PART, 0.0, 64) if marched else fog
    return render_rays(field, rays, (GridLevel(num),), grid, WHITE, keys)[-1].acc


# The intervals of training are drawn, those of pictures are not.
PLACED, DRAWN = None, jax.random.split(jax.random.key(0), RAYS)
WAYS = [(9, False, PLACED), (48, True, PLACED), (8, False, DRAWN), (32, False, DRAWN)]


@pytest.mark.parametrize("num, marched, keys", WAYS, ids=[str(way[0]) for way in WAYS])
def test_opacity_depends_neither_on_gaps_nor_on_the_number_of_intervals(num, marched, keys):
    for name, pieces in PIECES.items():
        for direction, speed in (((1, 0, 0), 1.0), ((-1, 0, 0), 1.3), ((0.8, 0.5, 0.0), 0.8)):
            slant = np.linalg.norm(direction) / abs(direction[0])
            if name == "everything" and slant > 1:
                continue  # this ray leaves the cube through its side
            length = CELL * sum(last - first for first, last in pieces) * slant
            acc = opacities(num, marched, cross(direction, speed), slabs(pieces), keys)
            np.testing.assert_allclose(acc, 1 - np.exp(-DENSITY * length), atol=1e-3)


def test_a_hollow_hull_has_the_opacity_of_its_wall():
    centers = (np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), -1) + 0.5) * CELL - HALF
    radius = np.linalg.norm(centers, axis=-1)
    grid, rays = init_grid((radius < 0.5) & (radius > 0.3), 5.0, HALF), cross((0.8, 0.5, 0.33))
    near, far = float(rays.near[0, 0]), float(rays.far[0, 0])
    t = near + (np.arange(20_000) + 0.5) * (far - near) / 20_000
    points = np.asarray(rays.origins[0]) + t[:, None] * np.asarray(rays.directions[0])
    cells = np.floor((points + HALF) / CELL).astype(int)
    length = np.mean(np.asarray(grid.support)[tuple(cells.T)]) * (far - near)
    for num, marched, keys in WAYS:
        acc = opacities(num, marched, rays, grid, keys)
        # The wall's steps are as short as a cell: some lie between two probes.
        np.testing.assert_allclose(acc, 1 - np.exp(-DENSITY * length), atol=3e-3)


@partial(jax.jit, static_argnums=0)
def draw(num, rays, grid, keys):
    intervals = level_intervals(GridLevel(num), rays, None, grid, keys)
    means = make_samples(rays, intervals).means
    return intervals, lookup(grid, grid.support, means)


def test_no_sample_lies_in_a_gap_and_lengths_sum_to_the_pieces():
    grid, rays = slabs(PIECES["two boxes"]), cross((1, 0, 0))
    for num, keys in ((9, PLACED), (32, DRAWN)):
        drawn, exists = draw(num, rays, grid, keys)
        assert np.all(exists)
        np.testing.assert_allclose(drawn.lengths.sum(-1), 24 * CELL, rtol=1e-5)
        assert np.all(drawn.lengths >= 0) and np.all(np.diff(drawn.edges) >= 0)
        assert np.all(np.diff(drawn.middles) > 0)
        # From the first piece's begin to the last piece's end.
        np.testing.assert_allclose(drawn.edges[:, 0], 1.5 - HALF + 8 * CELL, atol=1e-5)
        np.testing.assert_allclose(drawn.edges[:, -1], 1.5 - HALF + 40 * CELL, atol=1e-5)
        # An interval at the gap includes the gap, and its length does not.
        missing = np.sum(np.diff(drawn.edges) - drawn.lengths, -1)
        np.testing.assert_allclose(missing, 8 * CELL, atol=1e-5)


def test_a_ray_without_support_has_intervals_without_length():
    grid, rays = slabs([(0, 2)]), cross((0, 1, 0))
    drawn, exists = draw(9, rays, grid, PLACED)
    assert not np.any(exists) and np.all(drawn.lengths == 0)
    np.testing.assert_array_equal(drawn.edges, np.broadcast_to(rays.far, drawn.edges.shape))


def test_the_distance_of_a_ray_is_that_of_its_opaque_piece():
    grid, rays = slabs(PIECES["two boxes"]), cross((1, 0, 0))

    def wall(samples):
        # All density lies in the second box: its front is seen.
        density = jnp.where(samples.means[..., 0] > 0, 1e4, 0.0)
        return fog(samples).replace(optical_depth=density * samples.lengths)

    @jax.jit
    def distance(grid):
        return render_rays(wall, rays, (GridLevel(32),), grid, WHITE)[-1].distance

    front = 1.5 - HALF + 28 * CELL
    np.testing.assert_allclose(distance(grid), front, atol=0.012)
