"""The signed distance end: sphere at the start, derivatives of any order, one zero set."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.fields.build import FieldSpec
from jaxvsnerf.fields.encode import FrequencySpec, HashEncoderSpec
from jaxvsnerf.fields.hashgrid import HashSpec
from jaxvsnerf.fields.sdf import ColorHead, SdfSpec, SurfaceSpec
from jaxvsnerf.rendering.render import render_rays
from jaxvsnerf.rendering.sampling import ImportanceLevel, UniformLevel
from jaxvsnerf.types import Context, Rays, Samples
from tests import compiled

V, R, S = 3, 4, 5
LAYERS = dict(num_views=V, depth=4, width=64, shared_layers=2, skip_layer=2, num_heads=2)
FREQUENCIES = FrequencySpec(pos_freqs=4)
HASHED = HashEncoderSpec(4, hash_grid=HashSpec(levels=2, log2_size=8, base=4, finest=8))
CONTEXT = Context(jnp.eye(3), jnp.eye(3), jnp.int32(0))


def make_field(encoder=FREQUENCIES, **settings):
    decoder = SdfSpec(2, True, SurfaceSpec(**{"radius": 0.2, **settings}))
    return compiled.field(FieldSpec(**LAYERS, encoder=encoder, decoder=decoder))


@pytest.fixture(scope="module")
def field():
    return make_field()


@pytest.fixture(scope="module")
def params(field):
    """V different branches and an attention whose output is not zero."""
    params = field.init(jax.random.key(0), V)
    attention = field.init_attention(jax.random.key(1))
    shape = attention["out"]["kernel"].shape
    attention["out"]["kernel"] = 0.1 * jax.random.normal(jax.random.key(2), shape)
    return {**params, "attention": attention}


def points(num, seed=3):
    return jax.random.uniform(jax.random.key(seed), (num, 3), minval=-0.5, maxval=0.5)


def make_samples(batch, seed=4):
    directions = jax.random.normal(jax.random.key(seed), (*batch, 3))
    edges = jnp.broadcast_to(jnp.linspace(1.0, 1.2, S + 1), (*batch, S + 1))
    return Samples(
        means=points(np.prod(batch) * S, seed).reshape(*batch, S, 3),
        covs=None,
        t_edges=edges,
        lengths=jnp.diff(edges),
        viewdirs=directions / jnp.linalg.norm(directions, axis=-1, keepdims=True),
    )


@pytest.mark.parametrize(
    "encoder",
    [
        pytest.param(FREQUENCIES, id="frequency"),
        pytest.param(HASHED, id="hash", marks=pytest.mark.slow),
    ],
)
def test_training_starts_from_a_sphere(encoder):
    wide = dict(LAYERS, width=256, depth=8, shared_layers=5, skip_layer=4)
    decoder = SdfSpec(surface=SurfaceSpec(radius=0.25))
    field = compiled.field(FieldSpec(**wide, encoder=encoder, decoder=decoder))
    lengths = np.linalg.norm(points(200), axis=-1)
    radii, slopes = [], []
    for seed in range(6):
        params, at = field.init(jax.random.key(seed), 1), points(200)
        distance = -np.asarray(field.surface(params, at, CONTEXT, "single"))
        slope = -np.asarray(field.gradient(params, at, CONTEXT, "single"))
        slopes.append(np.linalg.norm(slope, axis=-1).mean())
        radii.append(np.mean(lengths - distance))
        outwards = np.sum(slope * at, -1) / lengths
        assert np.all(outwards[lengths > 0.1] > 0.2)
    # One random network is off by a tenth or two; all are right on average.
    assert np.mean(slopes) == pytest.approx(1.0, abs=0.1)
    assert np.mean(radii) == pytest.approx(0.25, abs=0.06)


def test_gradients_are_those_of_differences(field, params):
    at, step = points(20), 1e-2 * jnp.eye(3)
    for mode in ("canonical", "fused", "average"):
        ask = partial(field.surface, params, context=CONTEXT, mode=mode)
        differences = [(ask(at + one) - ask(at - one)) / 2e-2 for one in step]
        slope = field.gradient(params, at, CONTEXT, mode)
        np.testing.assert_allclose(slope, np.stack(differences, -1), atol=0.1)


def test_trunk_and_branches_have_second_derivatives_in_both_modes(field, params):
    def value(point):
        return field.surface(params, point[None], CONTEXT, "canonical")[0]

    at = points(1)[0]
    reverse = jax.hessian(value)(at)
    forward = jax.jacfwd(jax.jacfwd(value))(at)
    np.testing.assert_allclose(forward, reverse, atol=1e-3 * np.abs(reverse).max())
    assert np.abs(reverse).max() > 0

    def eikonal(params):
        slope = field.gradient(params, points(8), CONTEXT, "canonical")
        return jnp.mean((jnp.linalg.norm(slope, axis=-1) - 1) ** 2)

    gradient = jax.grad(eikonal)(params)
    assert np.abs(gradient["heads"]["distance"]["kernel"]).max() > 0
    branches = np.abs(gradient["views"]["layer_3"]["kernel"]).max((1, 2))
    assert np.all(branches > 0)


def test_views_share_one_zero_set_and_one_sharpness(field, params):
    at = points(30)
    own = [
        field.surface(params, at, CONTEXT.replace(branch=jnp.int32(view)), "nearest")
        for view in range(V)
    ]
    assert np.ptp(own, axis=0).max() > 1e-3
    for mode in ("canonical", "fused"):
        common = field.surface(params, at, CONTEXT, mode)
        np.testing.assert_allclose(common, np.mean(own, 0), atol=1e-5)
    samples = make_samples((R,))
    combined, mean = (field.apply(params, samples, CONTEXT, m) for m in ("fused", "canonical"))
    # Attention changes colours alone.
    np.testing.assert_allclose(combined.optical_depth, mean.optical_depth, atol=1e-5)
    assert np.abs(combined.rgb - mean.rgb).max() > 1e-4
    assert params["heads"]["sharpness"].shape == ()


def test_per_view_is_each_branch_on_its_own_rays(field, params):
    samples = make_samples((V, R))
    out = field.apply(params, samples, CONTEXT, "per_view")
    for view in range(V):
        own = jax.tree.map(lambda leaf, v=view: leaf[v], samples)
        nearest = field.apply(params, own, CONTEXT.replace(branch=jnp.int32(view)), "nearest")
        np.testing.assert_allclose(out.rgb[view], nearest.rgb, atol=1e-5)
        np.testing.assert_allclose(out.optical_depth[view], nearest.optical_depth, atol=1e-4)
        np.testing.assert_allclose(out.extras["normal"][view], nearest.extras["normal"], atol=1e-4)


def seen_through(field, params, direction=1.0, context=CONTEXT):
    """Opacity and mean normal of a ray along x through the middle of the cube."""
    ones = jnp.ones((1, 1))
    ray = Rays(
        origins=jnp.asarray([[-1.0 * direction, 0.01, 0.02]]),
        directions=jnp.asarray([[direction, 0.0, 0.0]]),
        viewdirs=jnp.asarray([[direction, 0.0, 0.0]]),
        radii=0.001 * ones,
        near=0.4 * ones,
        far=1.6 * ones,
        view_index=jnp.zeros(1, jnp.int32),
    )
    ask = partial(field.apply, params, context=context, mode="single")
    levels = UniformLevel(64), ImportanceLevel(64)
    return render_rays(ask, ray, levels, None, jnp.ones(3))[-1]


def test_a_sphere_is_seen_where_it_is_and_turned_inside_out_not_at_all():
    field = make_field(radius=0.15, sharpness=500.0)
    params = field.init(jax.random.key(0), 1)
    line = jnp.linspace(-0.6, 0.6, 2401)[:, None] * jnp.eye(3)[0] + jnp.asarray([0, 0.01, 0.02])
    inside = np.asarray(field.surface(params, line, CONTEXT, "single")) > 0
    front = -0.6 + np.flatnonzero(inside)[0] / 2000
    assert -0.5 < front < -0.1
    shown = seen_through(field, params)
    assert shown.acc[0] > 0.99
    assert shown.distance[0] - 1.0 == pytest.approx(front, abs=0.01)
    assert shown.extras["normal"][0, 0] < -0.7
    heads = params["heads"]
    turned = jax.tree.map(jnp.negative, heads["distance"])
    hollow = {**params, "heads": {**heads, "distance": turned}}
    flipped = seen_through(field, hollow)
    # From outside a body that is everything but the sphere, the ray starts inside and sees only
    # what lies behind the hollow.
    assert flipped.distance[0] - 1.0 > front + 0.2
    # While the cosine is annealed, the side that faces away counts too.
    early = seen_through(field, hollow, context=CONTEXT.replace(cos_anneal=jnp.float32(0.0)))
    assert early.distance[0] < flipped.distance[0] - 0.1


def test_bfloat16_is_for_colours_alone():
    outs = []
    for dtype in ("bfloat16", "float32"):
        spec = FieldSpec(**LAYERS, encoder=FREQUENCIES, decoder=SdfSpec(), dtype=dtype)
        field = compiled.field(spec)
        params = field.init(jax.random.key(0), V)
        params["attention"] = field.init_attention(jax.random.key(1))
        outs.append(field.apply(params, make_samples((R,)), CONTEXT, "fused"))
    np.testing.assert_array_equal(outs[0].optical_depth, outs[1].optical_depth)
    np.testing.assert_allclose(outs[0].rgb, outs[1].rgb, atol=0.04)


def test_the_colour_head_is_the_originals(data_folder):
    path = data_folder / "nerf_variants" / "neus.npz"
    if not path.is_file():
        pytest.skip("nerf_variants/neus.npz is absent")
    with np.load(path) as file:
        given = dict(file)
    layers = [given[f"net.colour.effective_weight.lin{k}.f32"].T for k in range(3)]
    biases = [given[f"net.colour.param.lin{k}.bias"] for k in range(3)]
    # The original reads points, directions, normals and the feature; this head the feature first.
    layers[0] = np.concatenate([layers[0][33:], layers[0][:33]])
    params = {
        name: {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
        for name, kernel, bias in zip(("color_0", "color_1", "rgb"), layers, biases, strict=True)
    }
    directions = given["colour.in.view_dirs"]
    waves = [f(2.0**k * directions) for k in range(4) for f in (np.sin, np.cos)]
    parts = given["sdf.in.points"], directions, *waves, given["colour.in.normals"]
    head = ColorHead(32, 2, jnp.float32)
    inputs = given["colour.in.features"], np.concatenate(parts, -1)
    rgb = jax.nn.sigmoid(head.apply({"params": params}, *map(jnp.float32, inputs)))
    np.testing.assert_allclose(rgb, given["colour.out.rgb.f64"], atol=2e-6)
