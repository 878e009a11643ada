"""Intervals, compositing, the density grid and whole images, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.rendering import grid as grids
from jaxvsnerf.rendering.composite import alpha_weights, composite
from jaxvsnerf.rendering.images import plan_rendering, render_packed
from jaxvsnerf.rendering.intervals import Intervals, whole_intervals
from jaxvsnerf.rendering.sampling import (
    GridLevel,
    ImportanceLevel,
    UniformLevel,
    meets_support,
    probe_points,
)
from jaxvsnerf.types import FieldOut
from tests.compiled import (
    image_rays,
    importance_edges,
    invert_cdf,
    lookup,
    make_samples,
    render_rays,
    uniform_edges,
    update_grid,
)

pytestmark = pytest.mark.unoptimized
WHITE = jnp.ones(3)
RADIUS = 0.3


def ball_field(samples):
    """An opaque grey ball."""
    inside = jnp.linalg.norm(samples.means, axis=-1) < RADIUS
    rgb = jnp.full((*inside.shape, 3), 0.25)
    return FieldOut(jnp.where(inside, 1e4, 0.0) * samples.lengths, rgb, {})


def fog_field(density):
    def fog(samples):
        rgb = jnp.full((*samples.lengths.shape, 3), 0.5)
        return FieldOut(density * samples.lengths, rgb, {"one": jnp.ones_like(rgb[..., :1])})

    return fog


@pytest.fixture(scope="module")
def rays():
    cameras = orbit_cameras([20.0], 30.0, 1.5, 35.0, 32, 24)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), image_rays(cameras, 0))


@pytest.fixture(scope="module")
def ball_grid():
    centers = (np.stack(np.meshgrid(*[np.arange(32)] * 3, indexing="ij"), -1) + 0.5) / 32 * 1.2
    # Cells whose centre lies within a cell's diagonal of the ball.
    support = np.linalg.norm(centers - 0.6, axis=-1) < RADIUS + 0.07
    return grids.init_grid(support, 5.0, 0.6)


def test_weights_equal_the_product_of_transmittances():
    tau = np.random.default_rng(0).gamma(0.5, size=(7, 9))
    alpha = 1 - np.exp(-tau)
    expected = np.zeros_like(tau)
    for i in range(9):
        expected[:, i] = alpha[:, i] * np.prod(1 - alpha[:, :i], axis=1)
    np.testing.assert_allclose(alpha_weights(jnp.asarray(tau)), expected, atol=1e-6)


@pytest.mark.parametrize("tau", [0.0, 1e-12, 1e3, 1e30])
def test_weights_and_gradients_are_finite_at_extremes(tau):
    depths = jnp.full(6, tau, jnp.float32)
    weights, grads = alpha_weights(depths), jax.jacobian(alpha_weights)(depths)
    assert np.isfinite(weights).all() and np.isfinite(grads).all()
    # Opacity never exceeds one.
    assert float(jnp.sum(weights)) <= 1 + 1e-6


def test_edges_that_do_not_match_the_intervals_are_refused():
    out = FieldOut(jnp.zeros(4), jnp.zeros((4, 3)), {})
    with pytest.raises(ValueError, match=r"\(4,\) and \(4,\)"):
        composite(out, Intervals(*jnp.zeros((3, 4))), jnp.ones(1), WHITE)


def test_uniform_edges_span_near_to_far_and_increase():
    near, far = jnp.full((50, 1), 1.0), jnp.full((50, 1), 3.0)
    keys = jax.random.split(jax.random.key(0), 50)
    for given in (None, keys):
        edges = uniform_edges(near, far, 8, given)
        assert edges.shape == (50, 9)
        np.testing.assert_allclose(edges[:, 0], 1.0)
        np.testing.assert_allclose(edges[:, -1], 3.0)
        assert np.all(np.diff(edges) >= 0)
    np.testing.assert_allclose(
        uniform_edges(near, far, 8, None)[0], np.linspace(1, 3, 9), atol=1e-6
    )


def test_inverse_cdf_equals_numpys_interpolation():
    rng = np.random.default_rng(1)
    edges = np.sort(rng.uniform(size=(5, 12)), -1)
    weights = rng.gamma(0.3, size=(5, 11))
    u = np.sort(rng.uniform(size=(5, 40)), -1)
    got = invert_cdf(jnp.asarray(edges), jnp.asarray(weights), jnp.asarray(u))
    for row in range(5):
        cdf = np.concatenate([[0], np.cumsum(weights[row])]) / weights[row].sum()
        np.testing.assert_allclose(got[row], np.interp(u[row], cdf, edges[row]), atol=2e-5)


def test_a_ray_without_weight_is_sampled_uniformly():
    edges = jnp.linspace(0.0, 2.0, 9)[None]
    drawn = importance_edges(edges, jnp.zeros((1, 8)), 3, None)
    # Thirds of the length 2.
    np.testing.assert_allclose(drawn[0], [0, 2 / 3, 4 / 3, 2], atol=1e-6)


def test_importance_edges_follow_the_weights():
    edges = jnp.broadcast_to(jnp.linspace(0.0, 1.0, 5), (4000, 5))
    weights = jnp.broadcast_to(jnp.asarray([0.1, 0.0, 0.6, 0.3]), (4000, 4))
    keys = jax.random.split(jax.random.key(2), 4000)
    drawn = importance_edges(edges, weights, 40, keys)[:, 1:-1]
    share = np.histogram(drawn, 4, (0, 1))[0] / drawn.size
    # Inner edges cover the quantiles from 1/80 to 79/80 evenly.
    expected = np.array([0.1 - 1 / 80, 0.0, 0.6, 0.3 - 1 / 80]) / (1 - 2 / 80)
    np.testing.assert_allclose(share, expected, atol=2e-3)


def test_drawn_intervals_span_exactly_the_weight_there_is():
    rng = np.random.default_rng(5)
    weights = rng.uniform(0.1, 1.0, size=(50, 12)).astype(np.float32)
    weights[:, :3] = 0.0
    weights[:, 9:] = 0.0
    edges = jnp.broadcast_to(jnp.linspace(0.0, 1.2, 13), (50, 13))
    for keys in (None, jax.random.split(jax.random.key(0), 50)):
        drawn = importance_edges(edges, jnp.asarray(weights), 5, keys)
        np.testing.assert_allclose(drawn[:, 0], 0.3, atol=1e-6)
        np.testing.assert_allclose(drawn[:, -1], 0.9, atol=1e-6)
        assert np.all(np.diff(drawn) > 0)


@pytest.mark.parametrize(
    "levels",
    [
        (UniformLevel(1),),
        (UniformLevel(33),),
        (UniformLevel(8), ImportanceLevel(5)),
        (GridLevel(7, 64),),
    ],
    ids=str,
)
def test_fog_has_beer_lamberts_opacity_whatever_the_intervals(rays, levels):
    full = grids.init_grid(np.ones((16,) * 3, bool), 1.0, 0.6)
    keys = jax.random.split(jax.random.key(0), len(rays.near))
    rendering = render_rays(fog_field(1.7), rays, levels, full, WHITE, keys)[-1]
    length = (rays.far - rays.near)[:, 0] * jnp.linalg.norm(rays.directions, axis=-1)
    expected = 1 - np.exp(-1.7 * length)
    np.testing.assert_allclose(rendering.acc, expected, atol=1e-5)
    np.testing.assert_allclose(rendering.rgb[:, 0], 1 - 0.5 * expected, atol=1e-5)
    # Extras are accumulated like colour: a constant one gives the opacity.
    np.testing.assert_allclose(rendering.extras["one"][:, 0], expected, atol=1e-5)


@pytest.mark.parametrize(
    "levels",
    [
        (UniformLevel(256),),
        (UniformLevel(96), ImportanceLevel(64)),
        (GridLevel(64),),
    ],
)
def test_a_ball_is_seen_where_geometry_says(rays, ball_grid, levels):
    rendering = render_rays(ball_field, rays, levels, ball_grid, WHITE)[-1]
    origins, viewdirs = np.asarray(rays.origins, np.float64), np.asarray(rays.viewdirs, np.float64)
    b = np.sum(origins * viewdirs, -1)
    discriminant = b**2 - np.sum(origins**2, -1) + RADIUS**2
    closest = np.sqrt(np.maximum(np.sum(origins**2, -1) - b**2, 0))
    clear_hit, clear_miss = closest < RADIUS - 0.03, closest > RADIUS + 0.03
    assert clear_hit.sum() > 50 and clear_miss.sum() > 50
    assert np.all(rendering.acc[clear_hit] > 0.99)
    assert np.all(rendering.acc[clear_miss] < 0.01)
    hit = -b - np.sqrt(np.maximum(discriminant, 0))
    seen = rendering.distance * np.linalg.norm(rays.directions, axis=-1)
    np.testing.assert_allclose(seen[clear_hit], hit[clear_hit], atol=0.04)


def test_nothing_exists_outside_the_grids_support(rays, ball_grid):
    rendering = render_rays(fog_field(50.0), rays, (GridLevel(48),), ball_grid, WHITE)[-1]
    # As many probes as the level takes to find the support.
    _, points = probe_points(rays, GridLevel(48).num_probes)
    hit = jnp.any(lookup(ball_grid, ball_grid.support, points), -1)
    assert 0 < int(hit.sum()) < len(hit)
    np.testing.assert_array_equal(rendering.acc[~hit], 0)
    np.testing.assert_array_equal(rendering.rgb[~hit], 1)


def test_lookup_reads_the_cell_a_point_lies_in():
    support = np.ones((4, 4, 4), bool)
    grid = grids.init_grid(support, 1.0, 0.5)
    values = jnp.arange(64, dtype=jnp.float32).reshape(4, 4, 4)
    # Cell (0, 1, 3) spans x in [-0.5, -0.25], y in [-0.25, 0], z in [0.25, 0.5].
    points = jnp.asarray([[-0.4, -0.1, 0.3], [0.6, 0.0, 0.0], [0.0, 0.0, -0.51]])
    np.testing.assert_array_equal(lookup(grid, values, points), [0 * 16 + 1 * 4 + 3, 0, 0])


def test_a_grid_update_moves_every_cell_of_the_support_and_none_outside(ball_grid):
    grid = ball_grid
    for step in range(3):
        key = jax.random.key(step)
        grid = update_grid(grid, lambda p: jnp.full(len(p), 2.0), key, 8192)
    # 8192 draws a time walk through all cells of the support: 5 * 0.8^3 = 2.56, never below 2.
    inside = np.asarray(grid.support)
    assert int(inside.sum()) < 8192
    np.testing.assert_allclose(np.asarray(grid.density)[inside], 5 * grids.DECAY**3, rtol=1e-5)
    assert np.all(np.asarray(grid.density)[~inside] == 0)


def test_a_grid_update_follows_density_that_grows(ball_grid):
    grid = update_grid(ball_grid, lambda p: p[:, 0] + 10.0, jax.random.key(0), 8192)
    x = (np.arange(32) + 0.5) / 32 * 1.2 - 0.6
    inside = np.asarray(grid.support)
    expected = np.broadcast_to(x[:, None, None] + 10.0, inside.shape)
    # A point lies anywhere in its cell, at most half a cell, 0.01875, from the centre.
    np.testing.assert_allclose(np.asarray(grid.density)[inside], expected[inside], atol=0.019)


def test_an_empty_hull_is_refused():
    with pytest.raises(ValueError, match="visual hull is empty"):
        grids.init_grid(np.zeros((4, 4, 4), bool), 1.0, 0.5)


@pytest.mark.parametrize("chunk", [7, 64, 10_000])
def test_packed_chunks_change_nothing(rays, ball_grid, chunk):
    levels, asked = (GridLevel(32),), []

    def render(part):
        return render_rays(ball_field, part, levels, ball_grid, WHITE)[-1]

    def counted(part):
        jax.debug.callback(lambda: asked.append(1))
        return render(part)

    def meets(part):
        return meets_support(levels, part, ball_grid)

    num = len(rays.near)
    packed = jax.jit(lambda r, n: render_packed(counted, meets, r, n, chunk, WHITE))
    whole, picture = render(rays), packed(rays, num)
    jax.effects_barrier()
    hits = int(meets(rays).sum())
    assert 0 < hits < num and len(asked) == -(-hits // min(chunk, num))
    np.testing.assert_allclose(picture.rgb, whole.rgb, atol=1e-6)
    np.testing.assert_allclose(picture.acc, whole.acc, atol=1e-6)
    np.testing.assert_allclose(picture.distance, whole.distance, atol=1e-5)
    # What comes after the rays that are wanted is background, whatever lies there.
    some = packed(rays, num // 2)
    np.testing.assert_allclose(some.rgb[: num // 2], whole.rgb[: num // 2], atol=1e-6)
    np.testing.assert_array_equal(some.rgb[num // 2 :], 1.0)
    np.testing.assert_array_equal(some.acc[num // 2 :], 0.0)


@pytest.mark.parametrize("mode", ["single", "fused"])
def test_the_plan_bounds_the_largest_tensor(mode):
    for elements in (2**23, 2**28):
        for views in (1, 16, 32):
            spec = plan_rendering(mode, (GridLevel(64),), 0.6, 8, 0.0, views, 256, elements)
            combined = views if mode == "fused" else 1
            assert spec.chunk * 64 <= elements or spec.chunk == 64
            assert spec.block * combined * 256 <= elements or spec.block == 64
            assert spec.chunk & (spec.chunk - 1) == 0 and spec.block & (spec.block - 1) == 0


def test_levels_say_what_they_miss(rays):
    with pytest.raises(ValueError, match="density grid, got None"):
        render_rays(ball_field, rays, (GridLevel(8),), None, WHITE)
    with pytest.raises(ValueError, match="got the first"):
        render_rays(ball_field, rays, (ImportanceLevel(8),), None, WHITE)
    with pytest.raises(ValueError, match=r"expected edges \[\.\.\., S \+ 1\]"):
        make_samples(rays, whole_intervals(jnp.zeros((3, 9))))


def test_a_rays_samples_do_not_depend_on_its_neighbours(rays):
    keys = jax.random.split(jax.random.key(3), len(rays.near))
    whole = render_rays(fog_field(1.0), rays, (UniformLevel(8),), None, WHITE, keys)[-1]
    half = jax.tree.map(lambda leaf: leaf[300:], rays)
    part = render_rays(fog_field(1.0), half, (UniformLevel(8),), None, WHITE, keys[300:])[-1]
    np.testing.assert_array_equal(whole.t_edges[300:], part.t_edges)


def test_a_ball_seen_by_parallel_rays_is_a_disc_of_its_own_size_at_any_distance():
    field = ball_field
    for distance in (1.0, 3.0):
        cameras = orbit_cameras([20.0], 30.0, distance, 40.0, 40, 40, orthographic=True)
        out = render_rays(field, image_rays(cameras, 0), (UniformLevel(96),), None, WHITE)[-1]
        # 40 px a unit: the disc has radius 0.3 * 40 = 12 px, and its middle is 0.3 nearer.
        assert float(out.acc.sum()) == pytest.approx(np.pi * 12**2, rel=0.03)
        assert float(out.distance[20, 20]) == pytest.approx(distance - RADIUS, abs=0.02)
