"""Losses and fields of the compared methods: each does what its name says, and no more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.inconsistency_bench import fields, losses, variant_fields
from jaxvsnerf.fields.build import FieldSpec
from jaxvsnerf.fields.encode import FrequencySpec
from jaxvsnerf.fields.radiance import RadianceSpec
from jaxvsnerf.training.losses import LossSpec, ray_errors
from jaxvsnerf.types import Context, Rendering, Samples
from tests import compiled

pytestmark = pytest.mark.unoptimized
ENDS = dict(encoder=FrequencySpec(pos_freqs=2), decoder=RadianceSpec(dir_freqs=1))
CONTEXT = Context(jnp.eye(3), jnp.eye(3), jnp.int32(0))


def rendering(rgb, **extras):
    return Rendering(jnp.asarray(rgb), None, None, None, None, None, extras)


def test_trimming_leaves_out_the_worst_rays():
    rgb = np.zeros((10, 3), np.float32)
    rgb[3] = 5.0
    spec = losses.TrimmedLoss("mse", share=0.1)
    assert jnp.sum(spec.color(rendering(rgb), jnp.zeros((10, 3)))) == 0
    # Half of the rays: the median lies between errors of 0 and is 0.
    rgb[4] = 0.1
    spec = losses.TrimmedLoss("mse", share=0.0)
    expected = np.mean(ray_errors(rgb, LossSpec("mse")))
    found = spec.color(rendering(rgb), jnp.zeros((10, 3)))
    np.testing.assert_allclose(jnp.mean(found), expected, 1e-6)


def test_uncertainty_at_its_floor_is_the_squared_error_and_best_at_the_error_itself():
    rgb = np.full((4, 3), 0.2, np.float32)
    spec = losses.UncertainLoss("mse", floor=0.1)

    def loss(sigma):
        given = rendering(rgb, uncertainty=jnp.full((4, 1), sigma))
        return jnp.mean(spec.color(given, jnp.zeros((4, 3))))

    np.testing.assert_allclose(loss(0.0), 3 * 0.04, rtol=1e-6)
    # d/ds (e / s^2 + 2 f^2 log s) = 0 at s^2 = e / f^2: the deviation is |error|.
    best = np.sqrt(3 * 0.04) - 0.1
    assert abs(jax.grad(loss)(best)) < 1e-5 < abs(jax.grad(loss)(0.0))


def test_branches_of_a_small_rank_start_as_one_and_part_by_that_rank():
    spec = FieldSpec(3, width=16, num_heads=2, **ENDS)
    field = compiled.whole(variant_fields.low_rank_field(spec, 2))
    params = field.init(jax.random.key(0), 3)
    points = jax.random.uniform(jax.random.key(1), (3, 5, 6, 3), minval=-0.3, maxval=0.3)
    samples = Samples(points[:1].repeat(3, 0), None, None, jnp.ones((3, 5, 6)), jnp.ones((3, 5, 3)))
    first = field.apply(params, samples, CONTEXT, "per_view")
    np.testing.assert_array_equal(first.rgb[0], first.rgb[2])
    views = jax.tree.map(
        lambda leaf: leaf + 0.03 * jnp.arange(3.0).reshape(3, *(1,) * (leaf.ndim - 1)),
        params["views"],
    )
    own = field.apply({**params, "views": views}, samples, CONTEXT, "per_view")
    np.testing.assert_allclose(own.rgb[0], first.rgb[0], atol=1e-6)
    assert np.abs(own.rgb[1] - own.rgb[2]).max() > 1e-4


def test_views_of_one_density_differ_in_colour_alone():
    spec = FieldSpec(3, width=16, num_heads=2, **ENDS)
    field = compiled.whole(variant_fields.shared_density_field(spec))
    params = field.init(jax.random.key(0), 3)
    points = jax.random.uniform(jax.random.key(1), (5, 6, 3), minval=-0.3, maxval=0.3)
    stacked = jnp.stack([points] * 3)
    samples = Samples(stacked, None, None, jnp.ones((3, 5, 6)), jnp.ones((3, 5, 3)))
    own = field.apply(params, samples, CONTEXT, "per_view")
    np.testing.assert_array_equal(own.optical_depth[0], own.optical_depth[1])
    assert np.abs(own.rgb[0] - own.rgb[1]).max() > 1e-4


@pytest.mark.parametrize("own, others", [(0.5, 1.0), (0.0, 0.5)])
def test_random_views_are_as_many_as_asked_for(own, others):
    directions = jax.random.normal(jax.random.key(0), (4, 2000, 3))
    samples = Samples(None, None, None, None, directions)
    hidden = ~jnp.eye(4, dtype=bool)[:, None, :]
    drawn = variant_fields._drawn(hidden, samples, own, others)
    assert drawn.shape == (4, 2000, 4) and bool(drawn.any(-1).all())
    mine = np.diagonal(np.moveaxis(np.asarray(drawn), 1, 0), axis1=1, axis2=2)
    assert abs(mine.mean() - own) < 0.05
    theirs = np.asarray(drawn)[np.broadcast_to(hidden, drawn.shape)]
    # Where none of the three is drawn one stays all the same.
    assert abs(theirs.mean() - (others + (1 - others) ** 3 / 3)) < 0.05


def test_distortion_of_two_weights_is_their_distance_and_their_own_lengths():
    spec = losses.DistortedLoss("mse", distortion=2.0)
    weights, edges, middles = map(jnp.asarray, ([0.5, 0.25], [0.0, 2.0, 4.0], [1.0, 3.0]))
    given = Rendering(jnp.zeros(3), None, None, weights, edges, middles, {})
    # 2 * 0.5 * 0.25 * 2 between them, (0.25 + 0.0625) * 2 / 3 within.
    expected = 2.0 * (0.5 + 0.3125 * 2.0 / 3.0)
    np.testing.assert_allclose(spec.color(given, jnp.zeros(3)), expected, rtol=1e-6)


@pytest.mark.parametrize("make", ["appearance_field", "uncertain_field", "deformed_field"])
def test_codes_change_what_their_method_says_and_the_mean_code_is_what_views_share(make):
    spec = FieldSpec(3, width=16, num_heads=2, **ENDS)
    field = compiled.whole(getattr(fields, make)(spec, 4))
    params = field.init(jax.random.key(0), 3)
    network = jax.tree.map(lambda leaf: leaf + 0.1, params["shared"]["network"])
    codes = jnp.asarray([[1.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, -1.0, 0]])
    params = {**params, "views": {"code": codes}}
    params["shared"] = {**params["shared"], "network": network}
    points = jax.random.uniform(jax.random.key(1), (5, 6, 3), minval=-0.3, maxval=0.3)
    samples = Samples(points, None, None, jnp.ones((5, 6)), jnp.ones((5, 3)))
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), samples)
    own = field.apply(params, stacked, CONTEXT, "per_view")
    common = field.apply(params, samples, CONTEXT, "canonical")
    differs = [
        bool(np.abs(own.optical_depth[0] - own.optical_depth[1]).max() > 1e-6),
        bool(np.abs(own.rgb[0] - own.rgb[1]).max() > 1e-6),
    ]
    assert (
        differs
        == {
            "appearance_field": [False, True],
            "uncertain_field": [False, False],
            "deformed_field": [True, True],
        }[make]
    )
    # Views whose codes are the mean code answer as the common mode does.
    same = {**params, "views": {"code": jnp.broadcast_to(codes.mean(0), codes.shape)}}
    alike = field.apply(same, stacked, CONTEXT, "per_view")
    np.testing.assert_allclose(alike.rgb[1], common.rgb, atol=1e-6)
    np.testing.assert_allclose(alike.optical_depth[2], common.optical_depth, atol=1e-6)
