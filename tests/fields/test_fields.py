"""The field: NeRF in single mode, branches, attention, promotion."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.fields.build import FieldSpec, build_field
from jaxvsnerf.fields.combine import AttentionCombiner
from jaxvsnerf.fields.encode import FrequencySpec, HashEncoderSpec, posenc
from jaxvsnerf.fields.hashgrid import HashSpec, hash_encode
from jaxvsnerf.fields.radiance import RadianceSpec
from jaxvsnerf.fields.shared import aligned
from jaxvsnerf.training.stages import promote
from jaxvsnerf.types import Context, Samples
from tests import compiled

pytestmark = pytest.mark.unoptimized
V, R, S = 3, 4, 5
ENDS = dict(encoder=FrequencySpec(pos_freqs=3), decoder=RadianceSpec(dir_freqs=2))
SMALL = dict(num_views=V, width=16, num_heads=2, **ENDS)


@partial(jax.jit, static_argnums=(1, 2))
def make_samples(key, batch, directed=True):
    keys = jax.random.split(key, 2)
    edges = jnp.broadcast_to(jnp.linspace(1.0, 2.0, S + 1), (*batch, S + 1))
    directions = jax.random.normal(keys[1], (*batch, 3))
    return Samples(
        means=jax.random.uniform(keys[0], (*batch, S, 3), minval=-0.5, maxval=0.5),
        covs=None,
        t_edges=edges,
        lengths=jnp.diff(edges),
        viewdirs=directions / jnp.linalg.norm(directions, axis=-1, keepdims=True)
        if directed
        else None,
    )


@pytest.fixture(scope="module")
def context():
    directions = np.random.default_rng(0).normal(size=(V, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    return Context(jnp.asarray(directions, jnp.float32), jnp.zeros((V, 3)), jnp.int32(1))


@pytest.fixture(scope="module")
def field():
    return compiled.field(FieldSpec(**SMALL))


@pytest.fixture(scope="module")
def params(field):
    """V different branches and an attention whose output is not zero."""
    params = field.init(jax.random.key(0), V)
    attention = field.init_attention(jax.random.key(1))
    noise = jax.random.normal(jax.random.key(2), attention["out"]["kernel"].shape) * 0.1
    attention["out"]["kernel"] = noise
    return {**params, "attention": attention}


def test_single_mode_has_nerfs_595844_parameters():
    field = compiled.field(FieldSpec(num_views=16))
    params = jax.eval_shape(lambda: field.init(jax.random.key(0), 1))
    # 8 layers: 63*256+256 + 4*(256*256+256) + (319*256+256) + 2*(256*256+256) = 493,056;
    # heads: 257 + (256*256+256) + (283*128+128) + (128*3+3) = 102,788.
    assert sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(params)) == 595_844


def test_every_view_parameter_has_a_leading_view_axis(params):
    assert {leaf.shape[0] for leaf in jax.tree.leaves(params["views"])} == {V}
    assert set(params) == {"shared", "views", "attention", "heads"}


def test_posenc_is_the_input_then_sines_then_cosines():
    x = jnp.asarray([[0.3, -1.2]])
    expected = [0.3, -1.2]
    expected += [np.sin(f * c) for f in (1, 2, 4) for c in (0.3, -1.2)]
    expected += [np.cos(f * c) for f in (1, 2, 4) for c in (0.3, -1.2)]
    np.testing.assert_allclose(posenc(x, 3)[0], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["frequency", "hash"])
def test_an_encoder_is_what_it_learned_then_posenc_then_zeros(kind):
    points = jax.random.uniform(jax.random.key(0), (50, 3), minval=-0.5, maxval=0.5)
    if kind == "frequency":
        encoder, learned, found = FrequencySpec(4, 2.0).build(), None, jnp.zeros((50, 0))
    else:
        spec = HashSpec(levels=3, base=4, finest=8)
        encoder = HashEncoderSpec(4, 2.0, spec, 0.5).build()
        learned = encoder.init(jax.random.key(1))
        found = hash_encode(learned, points + 0.5, spec)
    expected = jnp.concatenate([found, posenc(2.0 * points, 4)], -1)
    encoded = encoder.apply(learned, points)
    assert encoder.size == expected.shape[-1]
    assert encoded.shape[-1] == aligned(encoder.size)
    np.testing.assert_allclose(encoded[:, : encoder.size], expected, atol=1e-6)
    assert not np.any(encoded[:, encoder.size :])


@pytest.mark.parametrize("kind", ["frequency", "hash"])
def test_an_encoding_opens_from_coarse_to_fine(kind):
    points = jax.random.uniform(jax.random.key(0), (50, 3), minval=-0.5, maxval=0.5)
    if kind == "frequency":
        encoder, learned, first = FrequencySpec(4, 2.0).build(), None, 0
    else:
        spec = HashSpec(levels=3, base=4, finest=8)
        encoder = HashEncoderSpec(4, 2.0, spec, 0.5).build()
        learned, first = encoder.init(jax.random.key(1)), 6
    full = np.asarray(encoder.apply(learned, points))
    np.testing.assert_array_equal(encoder.apply(learned, points, jnp.float32(1)), full)
    # Half way 1 + 0.5 * 3 of four frequencies and 1 + 0.5 * 2 of three levels are open;
    # the position itself always is.
    levels = np.repeat([1, 1, 0], 2)[:first]
    waves = np.repeat([1, 1, 0.5, 0], 3)
    shares = np.concatenate([levels, np.ones(3), waves, waves])
    shares = np.pad(shares, (0, full.shape[-1] - len(shares)))
    opened = encoder.apply(learned, points, jnp.float32(0.5))
    np.testing.assert_allclose(opened, shares * full, atol=1e-6)


def test_per_view_is_each_branch_on_its_own_rays(field, params, context):
    samples = make_samples(jax.random.key(3), (V, R))
    out = field.apply(params, samples, context, "per_view")
    for view in range(V):
        own = jax.tree.map(lambda leaf, v=view: leaf[v], samples)
        nearest = field.apply(params, own, context.replace(branch=jnp.int32(view)), "nearest")
        np.testing.assert_allclose(out.rgb[view], nearest.rgb, atol=1e-6)
        np.testing.assert_allclose(out.optical_depth[view], nearest.optical_depth, rtol=1e-5)


def test_permuting_views_permutes_branches_and_leaves_fused_and_canonical_alone(
    field, params, context
):
    samples = make_samples(jax.random.key(4), (R,))
    order = jnp.asarray([2, 0, 1])
    permuted = {**params, "views": jax.tree.map(lambda leaf: leaf[order], params["views"])}
    turned = context.replace(view_dirs=context.view_dirs[order])
    for mode in ("fused", "canonical"):
        before = field.apply(params, samples, context, mode)
        after = field.apply(permuted, samples, turned, mode)
        np.testing.assert_allclose(before.rgb, after.rgb, atol=1e-6)
        np.testing.assert_allclose(before.optical_depth, after.optical_depth, rtol=2e-5)
    grouped = make_samples(jax.random.key(5), (V, R))
    branches = field.trunk(params, grouped, context, "per_view").color
    swapped = field.trunk(
        permuted, jax.tree.map(lambda leaf: leaf[order], grouped), turned, "per_view"
    ).color
    np.testing.assert_allclose(branches[order], swapped, atol=1e-6)


def attention_by_loops(params, tokens, mask, cosines, heads):
    """Self-attention written token by token in float64."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    views = len(tokens)
    narrow = p["query"]["bias"].size // heads
    angles = np.stack([cosines, cosines**2], -1)
    query = tokens @ p["query"]["kernel"] + p["query"]["bias"] + angles @ p["query_angle"]
    key = tokens @ p["key"]["kernel"] + p["key"]["bias"] + angles @ p["key_angle"]
    refined = []
    for v in range(views):
        if not mask[v]:
            continue
        mixed = []
        for h in range(heads):
            part = slice(h * narrow, (h + 1) * narrow)
            scores = np.array([query[v, part] @ key[u, part] for u in range(views)]) / narrow**0.5
            weights = np.where(mask, np.exp(scores - scores.max()), 0.0)
            weights /= weights.sum()
            values = tokens @ p["value"][:, h]
            mixed.append(weights @ values)
        out = np.concatenate(mixed) @ p["out"]["kernel"] + p["out"]["bias"]
        refined.append(tokens[v] + out)
    return np.mean(refined, 0)


@pytest.mark.parametrize("mask", [(True, True, True), (True, False, True)])
def test_the_combiner_equals_self_attention_token_by_token(mask):
    heads, features = 2, 8
    combiner = AttentionCombiner(heads, 3, True, jnp.dtype("float32"))
    tokens = jax.random.normal(jax.random.key(0), (V, 1, 1, features))
    cosines = jnp.asarray([0.9, -0.2, 0.4]).reshape(V, 1, 1)
    masks = jnp.asarray(mask).reshape(V, 1, 1)
    params = jax.jit(combiner.init)(jax.random.key(1), tokens, masks, cosines)["params"]
    kernel = jax.random.normal(jax.random.key(2), (features, features))
    params = {**params, "out": {**params["out"], "kernel": kernel}}
    got = jax.jit(combiner.apply)({"params": params}, tokens, masks, cosines)
    expected = attention_by_loops(
        params,
        np.asarray(tokens, np.float64).reshape(V, features),
        np.asarray(mask),
        np.asarray(cosines, np.float64).reshape(V),
        heads,
    )
    np.testing.assert_allclose(got[0, 0], expected, atol=1e-5)


def test_a_view_that_is_masked_out_has_no_influence(field, params, context):
    samples = make_samples(jax.random.key(6), (R,))
    mask = jnp.broadcast_to(jnp.asarray([True, False, True]), (R, V))

    def total(views):
        out = field.apply({**params, "views": views}, samples, context, "fused", mask)
        return jnp.sum(out.rgb) + jnp.sum(out.optical_depth)

    grads = jax.jit(jax.grad(total))(params["views"])
    for leaf in jax.tree.leaves(grads):
        assert np.all(leaf[1] == 0)
        assert np.isfinite(leaf).all()
    assert any(np.any(leaf[0] != 0) for leaf in jax.tree.leaves(grads))


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("bfloat16", 1e-6)])
@pytest.mark.parametrize("num_views", [V, 12])
def test_promotion_preserves_the_rendered_function(dtype, tolerance, num_views):
    # In bf16 too: equal tokens must average to themselves, bit for bit. In a whole program XLA
    # multiplies by 1 / 12 where the mean divides by 12, which rounds once more.
    exact = dtype == "bfloat16" and num_views == 12
    make = build_field if exact else compiled.field
    field = make(FieldSpec(**{**SMALL, "num_views": num_views, "dtype": dtype}))
    directions = jnp.ones((num_views, 3)) / np.sqrt(3)
    context = Context(directions, directions, jnp.int32(0))
    single = field.init(jax.random.key(7), 1)
    samples = make_samples(jax.random.key(8), (num_views, R))
    expected = field.apply(single, samples, context, "single")
    promoted = jax.jit(promote, static_argnums=(0, 2))
    per_view = promoted(field, single, "per_view", jax.random.key(9))
    fused = promoted(field, per_view, "fused", jax.random.key(9))
    for params, mode in ((per_view, "per_view"), (per_view, "canonical"), (fused, "fused")):
        out = field.apply(params, samples, context, mode)
        np.testing.assert_allclose(out.rgb, expected.rgb, atol=tolerance)
        np.testing.assert_allclose(out.optical_depth, expected.optical_depth, rtol=tolerance)


def test_the_first_fused_step_is_the_mean_of_different_branches(field, params, context):
    fresh = {**params, "attention": field.init_attention(jax.random.key(3))}
    samples = make_samples(jax.random.key(10), (R,))
    fused = field.apply(fresh, samples, context, "fused")
    canonical = field.apply(fresh, samples, context, "canonical")
    np.testing.assert_array_equal(fused.rgb, canonical.rgb)


def test_colour_ignores_the_direction_unless_it_is_view_dependent(context):
    samples = make_samples(jax.random.key(11), (R,))
    other = samples.replace(viewdirs=-samples.viewdirs)
    for view_dependent in (False, True):
        field = compiled.field(FieldSpec(**{**SMALL, "decoder": RadianceSpec(2, view_dependent)}))
        params = field.init(jax.random.key(0), 1)
        a = field.apply(params, samples, context, "single")
        b = field.apply(params, other, context, "single")
        np.testing.assert_array_equal(a.optical_depth, b.optical_depth)
        assert np.array_equal(a.rgb, b.rgb) != view_dependent


@pytest.mark.parametrize("given", [{}, {"angle_term": True}], ids=["default", "angle"])
def test_pictures_grid_and_mesh_ask_one_function(context, given):
    # Pictures ask with the ray's direction, the grid and the mesh without one.
    field = compiled.field(FieldSpec(**SMALL, **given))
    params = field.init(jax.random.key(0), V)
    leaves, tree = jax.tree.flatten(field.init_attention(jax.random.key(1)))
    keys = jax.random.split(jax.random.key(2), len(leaves))
    drawn = [jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
    params["attention"] = jax.tree.unflatten(tree, drawn)
    samples = make_samples(jax.random.key(15), (R,))
    seen = field.apply(params, samples, context, "fused")
    asked = field.apply(params, samples.replace(viewdirs=None), context, "fused")
    density = field.density(params, samples.means, context, "fused")
    drift = np.abs(np.asarray(seen.optical_depth / samples.lengths - density)).max()
    if given:
        assert not np.allclose(seen.rgb, asked.rgb, atol=1e-3) and drift > 1e-3
        assert not np.allclose(seen.optical_depth, asked.optical_depth, rtol=1e-3)
    else:
        np.testing.assert_array_equal(seen.rgb, asked.rgb)
        np.testing.assert_array_equal(seen.optical_depth, asked.optical_depth)
        assert drift < 1e-4


def test_values_and_gradients_stay_finite_far_outside_the_cube(field, params, context):
    samples = make_samples(jax.random.key(12), (R,))
    samples = samples.replace(means=samples.means * 1e4, lengths=samples.lengths * 1e6)

    def total(params):
        out = field.apply(params, samples, context, "fused")
        return jnp.sum(out.rgb) + jnp.sum(jnp.exp(-out.optical_depth))

    value, grads = jax.jit(jax.value_and_grad(total))(params)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_bfloat16_products_stay_near_float32(context):
    samples = make_samples(jax.random.key(13), (R,))
    outs = []
    for dtype in ("float32", "bfloat16"):
        field = compiled.field(FieldSpec(**SMALL, dtype=dtype))
        params = field.init(jax.random.key(0), V)
        params["attention"] = field.init_attention(jax.random.key(1))
        assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
        outs.append(field.apply(params, samples, context, "fused"))
    assert outs[1].rgb.dtype == outs[1].optical_depth.dtype == jnp.float32
    # bf16 keeps 8 bits: a relative error of 2^-8 a layer, some ten layers.
    np.testing.assert_allclose(outs[0].rgb, outs[1].rgb, atol=0.04)


def test_an_end_that_makes_no_field_is_refused():
    with pytest.raises(ValueError, match="field.density_activation: .* softplus, relu"):
        RadianceSpec(density_activation="exp")


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(shared_layers=8), "field.shared_layers: expected fewer than the 8 layers"),
        (dict(width=15), "multiple of field.num_heads"),
        (dict(dtype="float16"), "float32, bfloat16"),
        (dict(num_views=0), "field.num_views: expected a whole number of 1 to"),
    ],
)
def test_a_spec_that_makes_no_field_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        FieldSpec(**{**SMALL, **change})


def test_a_mode_that_does_not_fit_the_parameters_is_refused(field, params, context):
    samples = make_samples(jax.random.key(14), (R,))
    single = field.init(jax.random.key(0), 1)
    for mode, given, message in (
        ("blend", params, "expected one of single"),
        ("single", params, "expected parameters of 1 branch, got 3"),
        ("fused", single, "expected 3 branches, got 1"),
        ("per_view", params, "samples grouped by view"),
        ("fused", {k: v for k, v in params.items() if k != "attention"}, "attention"),
    ):
        with pytest.raises(ValueError, match=message):
            field.apply(given, samples, context, mode)
