"""Rays, losses, stages and the train step."""

import dataclasses

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.rendering.images import make_image_renderer, plan_rendering
from jaxvsnerf.rendering.sampling import ImportanceLevel, UniformLevel
from jaxvsnerf.training import step as steps
from jaxvsnerf.training.losses import LossSpec, ray_errors, total_loss
from jaxvsnerf.training.rays import build_ray_table, draw_rows
from jaxvsnerf.training.smoothness import DISTANCE, with_roughness
from jaxvsnerf.training.stages import StageSpec, check_stages, make_optimizer, split_trainable
from jaxvsnerf.training.terms import Outcome, TermsSpec
from jaxvsnerf.types import FieldOut, Rendering, Samples
from tests import lowering
from tests.tiny import (
    EVERYTHING,
    SIZE,
    STAGES,
    V,
    make_field,
    make_scene,
    make_views,
    run,
    stage_state,
    step_spec,
)

pytestmark = pytest.mark.unoptimized

# The first layer of `make_field` reads 15 numbers of the encoding and one of padding.
LARGEST_WEIGHTS = 16 * 8


@pytest.fixture(scope="module")
def views():
    return make_views()


@pytest.fixture(scope="module")
def scene(views):
    return make_scene(views)


@pytest.fixture(scope="module")
def field():
    return make_field()


def test_the_table_holds_every_pixel_near_ones_first(views):
    table = build_ray_table(views, 1)
    assert table.rgb.shape == (V * SIZE * SIZE, 3)
    np.testing.assert_array_equal(table.counts.sum(1), SIZE * SIZE)
    for view in range(V):
        start, count = table.starts[view, 0], table.counts[view, 0]
        near = table.pixels[start : start + count] - SIZE / 2
        # The disc has radius 3.1; a pixel of dilation reaches at most a diagonal further.
        assert np.all(np.hypot(*near.T) < 3.1 + 1.5)
        far = table.rgb[table.starts[view, 1] : table.starts[view, 1] + table.counts[view, 1]]
        np.testing.assert_array_equal(far, 1)
        rows = slice(view * SIZE * SIZE, (view + 1) * SIZE * SIZE)
        x, y = (table.pixels[rows] - 0.5).astype(int).T
        np.testing.assert_array_equal(table.rgb[rows], views.images[view, y, x])
        np.testing.assert_array_equal(table.mask[rows], views.masks[view, y, x])


def test_rays_are_drawn_from_their_view_with_the_share_of_background(views):
    table = build_ray_table(views, 1)
    rows = np.asarray(draw_rows(table, jax.random.key(0), 4000, 0.3))
    assert rows.shape == (V, 4000)
    np.testing.assert_array_equal(rows // (SIZE * SIZE), np.arange(V)[:, None].repeat(4000, 1))
    background = rows % (SIZE * SIZE) >= table.counts[:, :1]
    # A share of 4000 draws has a standard deviation of 0.007.
    np.testing.assert_allclose(background.mean(1), 0.3, atol=0.03)


@pytest.mark.parametrize("near_px, masks", [(-1, True), (SIZE, True), (1, False)])
def test_a_view_with_one_kind_of_pixel_gives_that_kind(views, near_px, masks):
    table = build_ray_table(views if masks else views.replace(masks=None), near_px)
    assert table.has_mask == masks
    rows = np.asarray(draw_rows(table, jax.random.key(0), 3000, 0.5))
    assert len(np.unique(rows[0])) > 0.99 * SIZE * SIZE
    assert rows.min() >= 0 and rows.max() < V * SIZE * SIZE


def test_losses_are_what_their_formulas_say():
    error = jnp.asarray([[0.3, 0.0, 0.4], [0.0, 0.0, 0.0]])
    # |error|^2 is 0.25 and 0.
    np.testing.assert_allclose(ray_errors(error, LossSpec("mse")), [0.25, 0.0], rtol=1e-6)
    expected = np.sqrt([0.25 + 1e-3, 1e-3])
    np.testing.assert_allclose(ray_errors(error, LossSpec("charbonnier", 1e-3)), expected, 1e-5)
    rendering = Rendering(error, jnp.asarray([0.5, 1.0]), None, None, None, None, {})
    seen = Outcome(rendering, jnp.asarray([0.0, 1.0]), jnp.asarray([1.0, 1.0]))
    spec = LossSpec("mse", 1e-3, TermsSpec(mask=2.0))
    loss, mse = total_loss((seen, seen), jnp.zeros((2, 3)), spec)
    # Two levels of 0.125 + 2 * (0.25 + 0) / 2; the mean over six channels is 0.25 / 6.
    assert loss == pytest.approx(2 * (0.125 + 0.25))
    assert mse == pytest.approx(0.25 / 6)


def test_roughness_is_what_opacity_changes_by_over_a_short_way():
    def wall(samples):
        """Optical depth 3 where x is positive."""
        inside = samples.means[..., 0] > 0
        return FieldOut(jnp.where(inside, 3.0, 0.0), jnp.zeros((*inside.shape, 3)), {})

    x = jnp.linspace(-0.1, 0.1, 41).at[20].set(1e-6)
    samples = Samples(x[:, None] * jnp.eye(3)[0], None, None, jnp.ones(41), None)
    rough = np.asarray(with_roughness(wall)(samples).extras["roughness"][..., 0])
    jump = (1 - np.exp(-3)) ** 2
    assert np.all(np.isclose(rough, 0.0) | np.isclose(rough, jump))
    # Directions go both ways: within the distance, some of either side cross the wall.
    near = np.abs(x) < DISTANCE
    assert rough[near & (x > 0)].any() and rough[near & (x <= 0)].any() and not rough[~near].any()


def test_roughness_is_weighed_as_the_loss_says():
    rendering = Rendering(
        jnp.zeros((2, 3)),
        jnp.zeros(2),
        None,
        None,
        None,
        None,
        {"roughness": jnp.asarray([[0.2], [0.4]])},
    )
    spec = LossSpec("mse", terms=TermsSpec(roughness=3.0))
    seen = Outcome(rendering, None, jnp.asarray([1.5, 0.5]))
    loss, _ = total_loss((seen,), jnp.zeros((2, 3)), spec)
    assert loss == pytest.approx(3.0 * (1.5 * 0.2 + 0.5 * 0.4) / 2)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(mode="both"), "single, per_view, fused"),
        (dict(trainable=("views", "head")), "shared, views, attention, heads"),
        (dict(trainable=()), "expected some of"),
        (dict(trainable=("attention",)), "exists in mode fused only"),
        (dict(token_mask="all"), "none, own"),
        (dict(lr_final=1.0), "lr_final <= lr_init"),
        (dict(rays=0), "stage1.rays: expected a whole number of 1 to 4194304"),
    ],
)
def test_a_stage_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(STAGES[0], **change)


def test_stages_that_do_not_follow_each_other_are_refused():
    check_stages(STAGES, V)
    with pytest.raises(ValueError, match="single -> per_view -> fused"):
        check_stages(STAGES[::-1], V)
    with pytest.raises(ValueError, match="at least 2 views"):
        check_stages(STAGES, 1)
    with pytest.raises(ValueError, match="at least one stage"):
        check_stages((), V)


def test_the_learning_rate_warms_up_and_decays_to_its_end():
    stage = StageSpec("s", 100, "single", EVERYTHING, lr_init=1e-2, lr_final=1e-4, warmup=10)
    optimizer = make_optimizer(stage)
    params, rates = {"w": jnp.zeros(())}, []
    state = optimizer.init(params)
    for _ in range(101):
        updates, state = optimizer.update({"w": jnp.ones(())}, state, params)
        rates.append(-float(updates["w"]))
    # Adam's step on a constant gradient is the learning rate.
    assert rates[0] == 0.0
    assert rates[5] == pytest.approx(5e-3, rel=1e-3)
    assert rates[10] == pytest.approx(1e-2, rel=1e-3)
    assert rates[100] == pytest.approx(1e-4, rel=1e-3)


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_only_the_trainable_groups_change(field, scene, stage):
    before = jax.device_get(stage_state(field, stage).params)
    after, sums = run(field, stage, scene, [3])
    assert np.isfinite(sums[0].loss) and sums[0].bad_step == steps.NO_STEP
    changing, frozen = split_trainable(after.params, stage.trainable)
    for group in frozen:
        jax.tree.map(np.testing.assert_array_equal, before[group], after.params[group])
    for group in changing:
        pairs = zip(
            jax.tree.leaves(before[group]), jax.tree.leaves(after.params[group]), strict=True
        )
        assert any(np.any(a != b) for a, b in pairs), group


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_one_program_serves_a_stage_and_any_split_gives_the_same_bits(field, scene, stage):
    compiled = []

    def listen(name, *_, **__):
        if name == "/jax/core/compile/backend_compile_duration":
            compiled.append(name)

    step = steps.make_train_steps(field, stage, step_spec(), tuple(jax.local_devices()[:1]))
    state = steps.place(stage_state(field, stage), tuple(jax.local_devices()[:1]))
    placed = steps.place((scene, jax.random.key(7)), tuple(jax.local_devices()[:1]))
    state, _ = step(state, *placed, 1)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for count in (2, 1):
            state, _ = step(state, *placed, count)
            jax.block_until_ready(state)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert not compiled
    whole, _ = run(field, stage, scene, [4])
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), whole)


def test_a_step_that_is_not_finite_is_named(field, scene):
    broken = scene.replace(background=jnp.full(3, jnp.nan))
    _, sums = run(field, STAGES[0], broken, [2, 2])
    assert [int(metrics.bad_step) for metrics in sums] == [0, 2]


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_the_train_step_lowers_for_tpu_and_cuda(scene, stage):
    field = make_field("bfloat16")
    step = steps.make_train_steps(field, stage, step_spec(), tuple(jax.local_devices()[:1]))
    arguments = jax.eval_shape(lambda: (stage_state(field, stage), jax.random.key(0)))
    program = jax.jit(lambda state, key: step(state, scene, key, 2))
    module = lowering.lowered(program, *arguments)
    lowering.assert_stays_on_the_device_in_32_bits(module)
    lowering.assert_multiplies_in_bfloat16(module, LARGEST_WEIGHTS)


@pytest.mark.parametrize("grid", [True, False])
def test_a_stage_learns_from_either_way_of_sampling(field, scene, grid):
    stage = StageSpec("stage1", 150, "single", EVERYTHING, lr_init=1e-2, lr_final=1e-3, rays=96)
    levels = step_spec().levels if grid else (UniformLevel(6), ImportanceLevel(6))
    devices = tuple(jax.local_devices()[:1])
    step = steps.make_train_steps(field, stage, step_spec(levels), devices)
    state, sums = stage_state(field, stage, grid), []
    for count in (10, 130, 10):
        state, metrics = step(state, scene, jax.random.key(7), count)
        sums.append(metrics.mse)
    assert sums[2] < 0.5 * sums[0]
    assert (state.sampler is not None) == grid


@pytest.mark.parametrize("mode", ["single", "canonical", "nearest", "fused"])
def test_the_renderer_lowers_for_tpu_and_cuda(scene, mode):
    field = make_field("bfloat16")
    stage = STAGES[0] if mode == "single" else STAGES[2]
    state = jax.eval_shape(lambda: stage_state(field, stage))
    spec = plan_rendering(mode, step_spec().levels, 0.6, 2, 5e-4, field.spec.num_views, 8, 2**12)
    render = make_image_renderer(field.apply, spec)
    count = jax.ShapeDtypeStruct((), jnp.int32)
    arguments = (state.params, state.sampler, scene.context, scene.cameras, count)
    module = lowering.lowered(render, *arguments, scene.background)
    lowering.assert_stays_on_the_device_in_32_bits(module)
    lowering.assert_multiplies_in_bfloat16(module, LARGEST_WEIGHTS)
