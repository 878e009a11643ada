"""NeuS: sections of rays against closed forms and the original's numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.fields.neus import facing, head_on_density, section_depth, unit
from jaxvsnerf.rendering.composite import alpha_weights
from jaxvsnerf.rendering.sampling import UpsampleLevel, graded
from jaxvsnerf.rendering.surface import upsample


def plane(sharpness, num=128, cosine=0.7, anneal=1.0):
    """Weights of a ray through a plane at t = 1, in equal sections of [0, 2], and their middles."""
    edges = np.linspace(0.0, 2.0, num + 1)
    middles, lengths = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    distance = cosine * (1.0 - middles)
    slope = facing(jnp.full(num, -cosine), anneal)
    depth = section_depth(jnp.asarray(distance), slope, jnp.asarray(lengths), sharpness)
    return np.asarray(alpha_weights(depth)), middles


@pytest.mark.parametrize("sharpness, total", [(8.0, 0.996302), (64.0, 1.0), (512.0, 1.0)])
def test_a_plane_is_where_it_is_at_every_sharpness(sharpness, total):
    weights, middles = plane(sharpness)
    assert np.sum(weights) == pytest.approx(total, abs=1e-6)
    assert np.sum(weights * middles) / np.sum(weights) == pytest.approx(1.0, abs=1e-5)
    # A density of the same shape is seen too early: the form that NeuS replaces.
    phi = 1 / (1 + np.exp(-sharpness * 0.7 * (1.0 - middles)))
    biased = np.asarray(alpha_weights(jnp.asarray(sharpness * phi * (1 - phi) * 2 / 128)))
    early = {8.0: 0.88135, 64.0: 0.98535, 512.0: 0.99805}[sharpness]
    assert np.sum(biased * middles) / np.sum(biased) == pytest.approx(early, abs=1e-3)


def test_weights_of_a_ray_sum_to_what_lies_between_its_ends():
    weights, _ = plane(8.0)
    phi = 1 / (1 + np.exp(-8.0 * 0.7 * np.array([1.0, -1.0])))
    assert np.sum(weights) == pytest.approx(1 - phi[1] / phi[0], abs=1e-6)


def test_a_surface_seen_from_behind_adds_nothing():
    distance = jnp.linspace(-1.0, 1.0, 64)
    depth = section_depth(distance, facing(jnp.full(64, 0.7)), jnp.full(64, 0.03), 64.0)
    assert not np.any(depth)
    # Half-way through the annealing of a training without masks, gradients reach the surface.
    assert np.any(section_depth(distance, facing(jnp.full(64, 0.7), 0.0), jnp.full(64, 0.03), 64.0))


def test_depths_and_gradients_stay_finite_far_from_the_surface():
    distance = jnp.asarray([-50.0, -1e-3, 0.0, 1e-3, 50.0])

    def total(distance, sharpness):
        return jnp.sum(section_depth(distance, -jnp.ones(5), jnp.full(5, 1e-3), sharpness))

    for sharpness in (1e-3, 1.0, 1e4):
        values = jax.value_and_grad(total, (0, 1))(distance, jnp.float32(sharpness))
        assert all(np.all(np.isfinite(one)) for one in jax.tree.leaves(values))
    # Deep inside a ray loses s per length; no digits are lost where Phi is far below the epsilon
    # of float32.
    deep = section_depth(jnp.float32(-50.0), -1.0, 1e-3, 100.0)
    assert deep == pytest.approx(0.1, rel=5e-3)


def test_the_density_without_a_direction_is_the_limit_of_thin_sections_head_on():
    distance = jnp.linspace(-0.1, 0.1, 9)
    thin = section_depth(distance, -jnp.ones(9), jnp.full(9, 1e-3), 64.0) / 1e-3
    np.testing.assert_allclose(head_on_density(distance, 64.0), thin, rtol=2e-3)


def test_unit_vectors_have_length_1_and_zero_stays_zero_with_a_finite_gradient():
    vectors = jnp.asarray([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(unit(vectors), [[0.6, 0.0, 0.8], [0, 0, 0]], atol=1e-6)
    assert np.all(np.isfinite(jax.grad(lambda v: jnp.sum(unit(v)))(vectors)))


@pytest.fixture(scope="module")
def original(data_folder):
    """Numbers of the original's own code."""
    path = data_folder / "nerf_variants" / "neus.npz"
    if not path.is_file():
        pytest.skip("nerf_variants/neus.npz is absent")
    with np.load(path) as file:
        return dict(file)


# The original's sharpness is exp(10 v) of a v of .3 in single precision.
PERTURBED = np.exp(10 * float(np.float32(0.3)))
CASES = {
    "sphere.cos0": (0.0, 64.0),
    "sphere.cos0.5": (0.5, 64.0),
    "sphere.cos1": (1.0, 64.0),
    "sphere.cos1.inv_s8": (1.0, 8.0),
    "sphere.cos1.inv_s512": (1.0, 512.0),
    "pert.cos0": (0.0, PERTURBED),
    "pert.cos1": (1.0, PERTURBED),
}


@pytest.mark.parametrize("case", CASES)
def test_weights_are_the_originals(original, case):
    anneal, sharpness = CASES[case]
    first = case.split(".")[0] + ".cos0"
    distance, gradient = (original[f"core.out.{first}.{name}.f64"] for name in ("sdf", "gradients"))
    lengths = original["core.out.dists.f64"]
    with jax.enable_x64(True):
        cosine = np.sum(original["rays.in.rays_d"][:, None] * gradient, -1)
        slope = np.asarray(facing(jnp.asarray(cosine), anneal))
        depth = np.asarray(section_depth(jnp.asarray(distance), slope, lengths, sharpness))
    # The original adds 1e-5 to both parts of alpha, and 1e-7 to the light that is left.
    phi = 1 / (1 + np.exp(-sharpness * (distance - 0.5 * slope * lengths)))
    alpha = np.clip((-np.expm1(-depth) * phi + 1e-5) / (phi + 1e-5), 0, 1)
    left = np.cumprod(np.pad(1 - alpha + 1e-7, ((0, 0), (1, 0)), constant_values=1), 1)[:, :-1]
    np.testing.assert_allclose(alpha * left, original[f"core.out.{case}.weights.f64"], atol=1e-9)


def test_positions_are_added_where_the_original_adds_them(original):
    t, distance = original["rays.in.z_vals"], original["up.in.sdf"]
    # Of rays that miss the body the original's 1e-5 decides.
    hits = distance.min(-1) < -0.02
    assert hits.sum() >= 16
    added = upsample(jnp.asarray(t), jnp.asarray(distance), 4, 64.0)
    expected = original["up.out.step0.new_z_vals.f64"]
    np.testing.assert_allclose(added[hits], expected[hits], atol=2e-4)
    # A second round is sharper: positions move towards the surface.
    merged = np.sort(np.concatenate([t, expected], -1), -1)
    np.testing.assert_allclose(merged[hits], original["up.out.step0.z_vals.f64"][hits], atol=1e-6)
    again = upsample(jnp.asarray(merged), jnp.asarray(original["up.out.step0.sdf.f64"]), 4, 128.0)
    expected = original["up.out.step1.new_z_vals.f64"]
    np.testing.assert_allclose(again[hits], expected[hits], atol=1e-3)


def test_up_sampling_finds_a_thin_plate():
    t = jnp.linspace(0.0, 2.0, 65)
    plate = jnp.abs(t - 1.013) - 0.02
    for sharpness in (128.0, 512.0):
        added = np.asarray(upsample(t, plate, 32, sharpness))
        assert np.all(np.diff(added) >= 0)
        assert np.median(np.abs(added - 0.993)) < 0.04
    level = UpsampleLevel(96, 512.0)
    assert graded((level,)) == slice(-1, None) and graded(()) == slice(0, None)
