"""Fields asked only where it matters give what the whole field gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.geometry.cameras import orbit_cameras
from jaxvsnerf.rendering.grid import init_grid
from jaxvsnerf.rendering.intervals import whole_intervals
from jaxvsnerf.rendering.plan import MAX_ELEMENTS, TRAIN_BYTES, micro_batches, power_of_two
from jaxvsnerf.rendering.sampling import GridLevel, UniformLevel
from jaxvsnerf.rendering.sparse import ask_heaviest, inside_support, march
from jaxvsnerf.types import FieldOut
from tests.compiled import image_rays, lookup, make_samples, render_rays

pytestmark = pytest.mark.unoptimized
WHITE = jnp.ones(3)


def marble(samples):
    """A smooth coloured ball, dense in the middle, its colour by place and direction."""
    radius = jnp.linalg.norm(samples.means, axis=-1)
    density = 60.0 * jax.nn.sigmoid((0.3 - radius) * 40.0)
    direction = 0.0 if samples.viewdirs is None else samples.viewdirs[..., None, :]
    rgb = jax.nn.sigmoid(5.0 * samples.means + direction)
    return FieldOut(density * samples.lengths, rgb, {"radius": radius[..., None]})


@pytest.fixture(scope="module")
def rays():
    cameras = orbit_cameras([20.0], 30.0, 1.5, 35.0, 24, 20)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), image_rays(cameras, 0))


@pytest.fixture(scope="module")
def grid():
    centers = (np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), -1) + 0.5) / 24 * 1.2
    return init_grid(np.linalg.norm(centers - 0.6, axis=-1) < 0.45, 5.0, 0.6)


@pytest.mark.parametrize("level", [UniformLevel(20), GridLevel(21)])
@pytest.mark.parametrize("block", [50, 1 << 20])
def test_marching_that_stops_nowhere_changes_nothing(rays, grid, level, block):
    whole = render_rays(marble, rays, (level,), grid, WHITE)[-1]
    used = grid if isinstance(level, GridLevel) else None
    marched = jax.jit(
        lambda r: render_rays(march(marble, used, 8, 0.0, block), r, (level,), grid, WHITE)
    )(rays)[-1]
    np.testing.assert_allclose(marched.rgb, whole.rgb, atol=1e-6)
    np.testing.assert_allclose(marched.acc, whole.acc, atol=1e-6)


def test_marching_costs_less_and_is_off_by_no_more_than_promised(rays, grid):
    level, opaque = UniformLevel(64), 1e-3
    asked = []

    def counted(samples):
        jax.debug.callback(lambda lengths: asked.append(int((lengths > 0).sum())), samples.lengths)
        return marble(samples)

    def picture(field):
        return render_rays(field, rays, (level,), grid, WHITE)[-1]

    whole = picture(counted)
    jax.effects_barrier()
    everything = asked.pop()
    marched = jax.jit(lambda: picture(march(counted, None, 8, opaque, 64)))()
    jax.effects_barrier()
    assert np.max(np.abs(marched.rgb - whole.rgb)) <= opaque
    # The middle of the ball is opaque long before a ray leaves it. A last block repeats
    # samples to be full, so that each of the 8 parts may add 63.
    assert sum(asked) < 0.85 * everything + 8 * 63


def test_the_heaviest_samples_are_those_the_costly_field_answers(rays, grid):
    def other(samples):
        out = marble(samples)
        return out.replace(rgb=1.0 - out.rgb)

    def heaviest(samples, num):
        return ask_heaviest(other, inside_support(marble, grid), num)(samples)

    edges = jnp.linspace(1.0, 2.0, 17) * jnp.ones((len(rays.near), 1))
    samples = make_samples(rays, whole_intervals(edges))
    weights = np.asarray(marble(samples).optical_depth)
    got, cheap, costly = heaviest(samples, 4), inside_support(marble, grid)(samples), other(samples)
    taken = np.abs(got.rgb - costly.rgb).max(-1) < 1e-6
    kept = np.abs(got.rgb - cheap.rgb).max(-1) < 1e-6
    assert np.all(taken | kept)
    through = weights.max(-1) > 0.5
    assert through.sum() > 20
    assert np.all(taken[through].sum(-1) >= 4)
    # With all samples the cheap field has no say.
    np.testing.assert_array_equal(heaviest(samples, 16).rgb, costly.rgb)


def test_no_gradient_flows_through_the_cheap_field(rays, grid):
    edges = jnp.linspace(1.0, 2.0, 9) * jnp.ones((len(rays.near), 1))
    samples = make_samples(rays, whole_intervals(edges))

    def total(scales):
        def scaled(scale):
            def field(s):
                out = marble(s)
                return out.replace(optical_depth=scale * out.optical_depth)

            return field

        out = ask_heaviest(scaled(scales[0]), scaled(scales[1]), 3)(samples)
        return jnp.sum(out.optical_depth)

    grads = jax.grad(total)(jnp.ones(2))
    assert grads[0] > 0 and grads[1] == 0


def test_nothing_is_asked_where_nothing_exists(rays, grid):
    empty = grid.replace(support=jnp.zeros_like(grid.support))
    asked = []

    def counted(samples):
        jax.debug.callback(lambda: asked.append(1))
        return marble(samples)

    out = render_rays(march(counted, empty, 8, 0.0, 64), rays, (GridLevel(16),), empty, WHITE)
    jax.effects_barrier()
    assert not asked
    np.testing.assert_array_equal(out[-1].rgb, 1.0)
    assert not np.any(lookup(empty, empty.support, jnp.zeros((1, 3))))


def test_micro_batches_fit_the_budget_and_divide_the_rays():
    for local, elements, budget in ((256, 2**25, 2**30), (256, 2**33, 2**36), (100, 2**30, 2**32)):
        parts = micro_batches(local, elements, budget)
        assert local % parts == 0
        fits = elements / parts <= min(MAX_ELEMENTS, budget // TRAIN_BYTES)
        assert fits or parts == local
        smaller = [p for p in range(1, parts) if local % p == 0]
        assert all(elements / p > min(MAX_ELEMENTS, budget // TRAIN_BYTES) for p in smaller)


def test_a_power_of_two_is_the_largest_within_its_bounds():
    assert [power_of_two(n, 4, 64) for n in (0, 3, 4, 7.9, 8, 63, 64, 1e9)] == [
        4, 4, 4, 4, 8, 32, 64, 64,
    ]  # fmt: skip
