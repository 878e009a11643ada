"""The hash grid: interpolation, hashing, and a backward pass in whole numbers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.fields import hashgrid
from jaxvsnerf.fields.build import FieldSpec
from jaxvsnerf.fields.encode import HashEncoderSpec
from jaxvsnerf.fields.hashgrid import HashSpec
from tests import compiled

pytestmark = pytest.mark.unoptimized
SPEC = HashSpec(levels=4, features=2, log2_size=9, base=4, finest=32)
hash_encode = jax.jit(hashgrid.hash_encode, static_argnums=2)
grid_corners = jax.jit(hashgrid.grid_corners, static_argnums=1)


def test_levels_grow_geometrically_and_hold_no_more_than_asked():
    # 4 * 2^(3 l / 3): 4, 8, 16, 32; (4 + 1)^3 = 125 fits 512, (8 + 1)^3 = 729 does not.
    assert hashgrid.level_resolutions(SPEC).tolist() == [4, 8, 16, 32]
    assert hashgrid.level_sizes(SPEC).tolist() == [125, 512, 512, 512]


def test_a_dense_level_interpolates_linear_functions_exactly():
    spec = HashSpec(levels=1, features=1, log2_size=12, base=8, finest=8)
    axis = np.arange(9) / 8
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")  # x runs fastest
    tables = jnp.asarray((1 + 2 * x - 3 * y + 4 * z).reshape(-1, 1), jnp.float32)
    points = jax.random.uniform(jax.random.key(0), (50, 3))
    expected = 1 + points @ jnp.asarray([2.0, -3.0, 4.0])
    np.testing.assert_allclose(hash_encode(tables, points, spec)[:, 0], expected, atol=1e-5)
    # On the border too, and what lies outside counts as the border.
    edge = jnp.asarray([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]])
    got = hash_encode(tables, edge, spec)[:, 0]
    np.testing.assert_allclose(got, [1 + 2 - 3 + 4, 1 + 2 - 3], atol=1e-5)


def test_rows_are_those_of_the_papers_hash():
    rows, weights = grid_corners(jnp.asarray([[0.3, 0.6, 0.9]]), SPEC)
    sizes = hashgrid.level_sizes(SPEC)
    start = 0
    for level, (resolution, size) in enumerate(zip([4, 8, 16, 32], sizes.tolist(), strict=True)):
        cell = [int(0.3 * resolution), int(0.6 * resolution), int(0.9 * resolution)]
        for k, offset in enumerate(np.ndindex(2, 2, 2)):
            x, y, z = (c + o for c, o in zip(cell, offset, strict=True))
            if level == 0:
                expected = x + 5 * (y + 5 * z)
            else:
                expected = (x ^ (y * 2654435761 % 2**32) ^ (z * 805459861 % 2**32)) % size
            assert int(rows[0, level, k]) == start + expected
        start += size
    np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-6)


@partial(jax.jit, static_argnums=0)
def problem(num=400):
    keys = jax.random.split(jax.random.key(1), 3)
    tables = hashgrid.init_tables(keys[0], SPEC)
    return tables, jax.random.uniform(keys[1], (num, 3)), jax.random.normal(keys[2], (num, 8))


def test_the_backward_pass_equals_the_derived_one():
    tables, points, grads = problem()

    def derived(tables):
        rows, weights = grid_corners(points, SPEC)
        values = jnp.sum(tables[rows] * weights[..., None], -2)
        return jnp.sum(values.reshape(len(points), -1) * grads)

    got = jax.grad(lambda t: jnp.sum(hash_encode(t, points, SPEC) * grads))(tables)
    expected = jax.jit(jax.grad(derived))(tables)
    # An addend is rounded by at most 2^-30 of a level's sum, about 700 here.
    np.testing.assert_allclose(got, expected, atol=5e-5)


def test_the_backward_pass_gives_the_same_bits_in_any_order():
    tables, points, grads = problem()

    def gradient(order):
        return jax.grad(lambda t: jnp.sum(hash_encode(t, points[order], SPEC) * grads[order]))(
            tables
        )

    order = jax.random.permutation(jax.random.key(3), len(points))
    np.testing.assert_array_equal(gradient(jnp.arange(len(points))), gradient(order))


@pytest.mark.parametrize("scale", [1e-30, 1e20])
def test_tiny_and_huge_gradients_survive(scale):
    tables, points, grads = problem()
    total = lambda t, s: jnp.sum(hash_encode(t, points, SPEC) * (grads * s))  # noqa: E731
    one, other = jax.grad(total)(tables, 1.0), jax.grad(total)(tables, scale)
    np.testing.assert_allclose(other / scale, one, atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_not_hidden(bad):
    tables, points, grads = problem()
    grads = grads.at[0, 0].set(bad)
    got = jax.grad(lambda t: jnp.sum(hash_encode(t, points, SPEC) * grads))(tables)
    assert not np.isfinite(got).all()


def test_positions_have_a_gradient():
    tables = problem()[0] * 1e4
    point = jnp.asarray([0.33, 0.641, 0.872])
    total = lambda p: jnp.sum(hash_encode(tables, p, SPEC))  # noqa: E731
    step = 1e-3 * jnp.eye(3)
    numeric = [(total(point + s) - total(point - s)) / 2e-3 for s in step]
    np.testing.assert_allclose(jax.grad(total)(point), numeric, rtol=2e-2, atol=1e-2)


def test_the_field_learns_its_encoding_in_a_group_of_its_own():
    field = compiled.field(
        FieldSpec(3, depth=3, width=8, shared_layers=1, skip_layer=0, num_heads=2,
                  encoder=HashEncoderSpec(hash_grid=SPEC))
    )  # fmt: skip
    params = field.init(jax.random.key(0), 1)
    assert params["encoding"].shape == (125 + 3 * 512, 2)
    # 4 levels of 2 features beside x, y, z and 10 frequencies of each as sine and cosine.
    assert params["shared"]["layer_0"]["kernel"].shape == (8 + 63, 8)


@pytest.mark.parametrize(
    "values, said",
    [
        (dict(levels=0), "field.hash_grid.levels: expected a whole number of 1 to 32"),
        (dict(base=64, finest=32), "base <= finest"),
        (dict(log2_size=0), "field.hash_grid.log2_size: .* 1 to 24"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(values, said):
    with pytest.raises(ValueError, match=said):
        HashSpec(**values)
