"""The signed distance end in training: every stage, either sampling, parts, devices, resumption."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.fields.sdf import SdfSpec, SurfaceSpec
from jaxvsnerf.rendering.grid import init_grid
from jaxvsnerf.rendering.sampling import ImportanceLevel, UniformLevel
from jaxvsnerf.training import start
from jaxvsnerf.training import step as steps
from jaxvsnerf.training.batch import StepSpec
from jaxvsnerf.training.losses import LossSpec
from jaxvsnerf.training.stages import StageSpec, promote
from jaxvsnerf.training.terms import Outcome, TermsSpec, bend_term, eikonal_term, mask_entropy_term
from jaxvsnerf.types import Rendering
from tests import lowering
from tests import tiny as t

pytestmark = pytest.mark.unoptimized
DECODER = SdfSpec(1, surface=SurfaceSpec(radius=0.2, hull_steps=0))
TERMS = TermsSpec(eikonal=0.1, bend=0.01)
LOSS = LossSpec("mse", terms=TERMS)
HIERARCHICAL = UniformLevel(6), ImportanceLevel(6)


@pytest.fixture(scope="module")
def field():
    return t.make_field(decoder=DECODER)


@pytest.fixture(scope="module")
def scene():
    return t.make_scene(t.make_views())


def step_spec(levels=t.LEVELS):
    return StepSpec(levels, LOSS, 0.2, grid_every=2, grid_cells=64, half_extent=0.6)


def train(field, stage, scene, counts, levels=t.LEVELS, parts=1):
    devices = tuple(jax.local_devices()[:1])
    step = steps.make_train_steps(field, stage, step_spec(levels), devices, parts)
    state = steps.place(t.stage_state(field, stage, levels is t.LEVELS), devices)
    placed, key = steps.place(scene, devices), steps.place(jax.random.key(7), devices)
    losses = []
    for count in counts:
        state, sums = step(state, placed, key, count)
        assert sums.bad_step == steps.NO_STEP
        losses.append(float(sums.loss) / count)
    return state, losses


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param(stage, id=stage.name, marks=[] if stage.mode == "fused" else pytest.mark.slow)
        for stage in t.STAGES
    ],
)
def test_a_stage_changes_its_groups_and_goes_on_to_the_same_bits(field, scene, stage):
    before = t.stage_state(field, stage).params
    whole, _ = train(field, stage, scene, [4])
    parted, _ = train(field, stage, scene, [1, 3])
    jax.tree.map(np.testing.assert_array_equal, whole.params, parted.params)
    for group, values in before.items():
        changed = jax.tree.leaves(
            jax.tree.map(lambda a, b: np.any(a != b), values, whole.params[group])
        )
        assert any(changed) == (group in stage.trainable), group


@pytest.mark.parametrize(
    "levels", [t.LEVELS, pytest.param(HIERARCHICAL, marks=pytest.mark.slow)], ids=["grid", "nerf"]
)
def test_a_surface_is_learned(field, scene, levels):
    stage = StageSpec("one", 120, "single", t.EVERYTHING, rays=24, warmup=0, lr_init=3e-3)
    _, losses = train(field, stage, scene, [20, 80, 20], levels)
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.slow
def test_a_gradient_in_parts_is_the_whole_one(field, scene):
    stage = t.STAGES[1]
    whole, parted = (train(field, stage, scene, [1], parts=parts)[0] for parts in (1, 4))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), whole.params, parted.params
    )


def test_terms_are_what_their_formulas_say():
    acc, mask = jnp.asarray([0.5, 1.0]), jnp.asarray([1.0, 0.0])
    rendering = Rendering(jnp.zeros((2, 3)), acc, None, None, None, None, {})
    slopes = jnp.asarray([[3.0, 0.0, 4.0], [0.0, 1.0, 0.0]])
    turned = jnp.asarray([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    seen = Outcome(rendering, mask, jnp.asarray([1.5, 0.5]), slopes, (turned, turned[::-1]))
    assert eikonal_term(seen) == pytest.approx((16 + 0) / 2)
    # Normals at a right angle differ by sqrt(2); rays count by trust and opacity.
    assert bend_term(seen) == pytest.approx((1.5 * 0.5 * 2 + 0.5 * 1.0 * 2) / 2)
    # The opacity is clipped to 0.999, so that the loss stays finite.
    expected = (1.5 * -np.log(0.5) + 0.5 * -np.log(1e-3)) / 2
    assert mask_entropy_term(seen) == pytest.approx(expected, rel=1e-4)


def test_visibility_does_not_choose_the_points_of_the_eikonal_term(field, scene):
    """Points are spread over the support, also where nothing is seen."""
    grid = init_grid(np.ones((8,) * 3), 5.0, 0.6)
    batch = steps.draw_batch(scene, jax.random.key(0), 0, 200, 1, step_spec(), grid)
    points = np.asarray(batch.points)
    assert points.shape == (t.V, 200, 3)
    corners = (points > 0).reshape(-1, 3) @ [1, 2, 4]
    np.testing.assert_allclose(np.bincount(corners, minlength=8) / 600, 1 / 8, atol=0.05)
    none = StepSpec(t.LEVELS, LossSpec(), 0.2, 2, 64, 0.6)
    assert steps.draw_batch(scene, jax.random.key(0), 0, 2, 1, none, grid).points is None


def test_training_starts_from_the_hull():
    place = (np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), -1) + 0.5) / 24 - 0.5
    support = np.abs(place - (0.1, 0.0, 0.0)).max(-1) < (0.2)
    grid = init_grid(support, 5.0, 0.5)
    distance = start.hull_distance(grid)
    # Along x through the middle the box reaches from -0.1 to 0.3; one cell is left out, since
    # masks are widened.
    middle, x = distance[:, 12, 12], place[:, 0, 0, 0]
    np.testing.assert_allclose(middle[x < -0.15], (-0.1 - x + 1 / 24)[x < -0.15], atol=1 / 24)
    np.testing.assert_allclose(middle[x > 0.35], (x - 0.3 + 1 / 24)[x > 0.35], atol=1 / 24)
    inside = np.flatnonzero(middle < 0)
    assert x[inside[0]] == pytest.approx(-0.1 + 1.5 / 24, abs=1 / 24)
    field = t.make_field(decoder=SdfSpec(1, surface=SurfaceSpec(hull_steps=200)))
    params = start.fit_distance(
        field, field.init(jax.random.key(0), 1), distance, 0.5, jax.random.key(1)
    )
    context = t.make_scene(t.make_views()).context
    found = field.surface(params, jnp.asarray(place.reshape(-1, 3)), context, "single")
    wrong = (np.asarray(found).reshape(support.shape) > 0) != (distance < 0)
    assert wrong.mean() < 0.05


def test_branches_start_as_the_surface_of_the_stage_before(field):
    params = field.init(jax.random.key(0), 1)
    several = promote(field, params, "fused", jax.random.key(1))
    context = t.make_scene(t.make_views()).context
    points = jax.random.uniform(jax.random.key(2), (20, 3), minval=-0.5, maxval=0.5)
    single = field.surface(params, points, context, "single")
    fused = field.surface(several, points, context, "fused")
    np.testing.assert_allclose(fused, single, atol=1e-6)


@pytest.mark.parametrize("stage", t.STAGES, ids=lambda stage: stage.name)
def test_every_stage_lowers_for_tpu_and_gpu_without_float64_or_host(field, scene, stage):
    step = steps.make_train_steps(field, stage, step_spec(), tuple(jax.local_devices()[:1]))
    arguments = jax.eval_shape(lambda: (t.stage_state(field, stage), jax.random.key(0)))
    module = lowering.lowered(jax.jit(lambda state, key: step(state, scene, key, 2)), *arguments)
    lowering.assert_stays_on_the_device_in_32_bits(module)
