"""A step in parts, with a hash grid, and programs that threads share."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.fields.build import FieldSpec, build_field
from jaxvsnerf.fields.encode import HashEncoderSpec
from jaxvsnerf.fields.hashgrid import HashSpec
from jaxvsnerf.fields.radiance import RadianceSpec
from jaxvsnerf.fields.views import branch_spread
from jaxvsnerf.rendering.program import Program
from jaxvsnerf.training import step as steps
from jaxvsnerf.training.losses import LossSpec
from jaxvsnerf.training.stages import StageSpec
from jaxvsnerf.training.terms import TermsSpec
from jaxvsnerf.training.trust import view_trust
from tests import tiny as t

pytestmark = pytest.mark.unoptimized
GROUPS = ("encoding", *t.EVERYTHING)
HASHED = FieldSpec(
    t.V, depth=3, width=8, shared_layers=1, skip_layer=0, num_heads=2,
    encoder=HashEncoderSpec(
        hash_grid=HashSpec(levels=3, features=2, log2_size=8, base=4, finest=16)
    ),
    decoder=RadianceSpec(dir_freqs=1),
)  # fmt: skip
LEARNING = StageSpec("one", 60, "single", GROUPS, rays=24, warmup=0)


def test_detail_rises_while_a_stage_goes_from_coarse_to_fine(scene):
    stage = StageSpec("s", 100, "single", t.EVERYTHING, coarse_to_fine=0.5)
    detail = [steps.stage_context(scene.context, stage, step).detail for step in (0, 25, 50, 99)]
    np.testing.assert_allclose(detail, [0.0, 0.5, 1.0, 1.0])
    all_open = replace(stage, coarse_to_fine=0.0)
    assert steps.stage_context(scene.context, all_open, 0).detail is None
    assert steps.stage_context(scene.context, stage, 0).cos_anneal is None
    annealed = steps.stage_context(scene.context, replace(all_open, cos_anneal=0.25), 20)
    assert annealed.cos_anneal == pytest.approx(0.8) and annealed.detail is None


def test_a_step_that_smooths_from_coarse_to_fine_learns_from_the_open_frequencies_alone(scene):
    stage = StageSpec("s", 4, "single", t.EVERYTHING, rays=12, warmup=0, coarse_to_fine=0.9)
    spec = replace(t.step_spec(), loss=LossSpec("mse", terms=TermsSpec(mask=0.0, roughness=3.0)))
    field, devices = t.make_field(), tuple(jax.local_devices()[:1])
    rough = steps.make_train_steps(field, stage, spec, devices, 1)
    start = t.stage_state(field, stage)
    before = jax.device_get(start.params)["shared"]["layer_0"]["kernel"]
    even = scene.replace(trust=jnp.ones(t.V))
    placed = [steps.place(x, devices) for x in (start, even, jax.random.key(7))]
    state, sums = rough(*placed, 1)
    moved = np.any(before != jax.device_get(state.params)["shared"]["layer_0"]["kernel"], axis=1)
    # Rows of the position, the sines and the cosines of two frequencies; at the first step the
    # second frequency is closed.
    np.testing.assert_array_equal(moved, np.repeat([1, 1, 0, 1, 0], 3))
    # The colour term is three times the mean over channels; what is beyond is roughness.
    assert sums.loss > 3 * sums.mse * (1 + 1e-5)


@pytest.fixture(scope="module")
def scene():
    return t.make_scene(t.make_views())


def train(field, stage, scene, count, parts=1):
    devices = tuple(jax.local_devices()[:1])
    step = steps.make_train_steps(field, stage, t.step_spec(), devices, parts)
    state = steps.place(t.stage_state(field, stage), devices)
    placed, key = steps.place(scene, devices), steps.place(jax.random.key(7), devices)
    return jax.device_get(step(state, placed, key, count))


@pytest.mark.parametrize("mode", [pytest.param("single", marks=pytest.mark.slow), "fused"])
def test_a_gradient_in_parts_is_the_whole_one(scene, mode):
    stage = t.STAGES[2] if mode == "fused" else t.STAGES[0]
    whole, sums = train(t.make_field(), stage, scene, 1)
    parted, others = train(t.make_field(), stage, scene, 1, parts=4)
    # Rounding apart: Adam's first step is the sign of the gradient, so compare what it saw.
    np.testing.assert_allclose(others.loss, sums.loss, rtol=1e-5)
    np.testing.assert_allclose(others.mse, sums.mse, rtol=1e-5)
    seen, parts_seen = (jax.tree.leaves(state.opt_state[0].mu) for state in (whole, parted))
    for one, other in zip(seen, parts_seen, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-6)


@pytest.mark.parametrize(
    "mode, combined",
    [
        ("single", 0),
        ("per_view", 0),
        pytest.param("fused", 0, marks=pytest.mark.slow),
        ("fused", 2),
    ],
)
def test_a_hash_grid_learns_in_every_stage(scene, mode, combined):
    groups = (*GROUPS, "attention") if mode == "fused" else GROUPS
    stage = replace(LEARNING, mode=mode, trainable=groups, combined=combined)
    field = build_field(HASHED)
    before = t.stage_state(field, stage).params["encoding"]
    first, sums = train(field, stage, scene, 1)
    last, later = train(field, stage, scene, 60)
    assert np.any(last.params["encoding"] != before)
    assert later.loss / 60 < sums.loss
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(last.params))


def test_the_encoding_learns_faster_by_the_factor_asked_for(scene):
    field = build_field(HASHED)

    def moved(factor):
        stage = replace(LEARNING, encoding_lr=factor)
        start = t.stage_state(field, stage).params["encoding"]
        return train(field, stage, scene, 1)[0].params["encoding"] - np.asarray(start)

    slow, fast = moved(2.0), moved(LEARNING.encoding_lr)
    assert np.any(slow != 0) and LEARNING.encoding_lr == 10.0
    np.testing.assert_allclose(fast, 5.0 * slow, atol=1e-7)


def in_threads(calls):
    """The results of calls that start together, in order."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def test_threads_that_share_a_program_trace_it_once():
    traced = []

    @jax.jit
    def twice(value):
        traced.append(value)
        time.sleep(0.05)
        return 2 * value

    shared = Program(twice)
    results = in_threads([lambda n=n: int(shared(np.int32(n))) for n in range(4)])
    assert results == [0, 2, 4, 6] and len(traced) == 1


def test_what_was_traced_ahead_is_neither_traced_nor_compiled_again(caplog):
    traced = []

    @jax.jit
    def grown(value, by):
        traced.append(value)
        return value + by

    program = Program(grown, lambda value: (value, np.int32(2)))
    compile_traced = program.trace(np.int32(5))
    assert len(traced) == 1
    with jax.log_compiles():
        compile_traced()
        compiled = [r for r in caplog.records if "XLA compilation of jit(grown)" in r.message]
        assert int(program(np.int32(5))) == 7
        again = [r for r in caplog.records if "XLA compilation of jit(grown)" in r.message]
    assert len(compiled) == len(again) == 1 and len(traced) == 1


def test_an_error_while_tracing_leaves_programs_usable():
    failing = Program(jax.jit(lambda: 1 / 0))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            failing()
    assert int(Program(jax.jit(lambda: 3))()) == 3


def test_views_far_from_the_input_view_are_trusted_less():
    angles = np.deg2rad([0.0, 60.0, 180.0, 300.0])
    axes = np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1)
    trust = view_trust(axes, axes[0], 1.0)
    # sin(angle / 2) is 0, 1/2, 1, 1/2: weights as 1 / 0.25, 1 / 0.75, 1 / 1.25, 1 / 0.75.
    np.testing.assert_allclose(trust / trust[0], [1, 1 / 3, 1 / 5, 1 / 3], rtol=1e-5)
    np.testing.assert_allclose(view_trust(axes, axes[0], 2.0), trust**2 / np.mean(trust**2), 1e-5)
    for alike in (view_trust(axes, None, 1.0), view_trust(axes, axes[0], 0.0)):
        np.testing.assert_array_equal(alike, 1.0)


def test_rays_count_as_much_as_their_view_is_trusted(scene):
    field, stage = t.make_field(), t.STAGES[0]
    last = np.arange(len(scene.table.rgb))[:, None] >= 2 * t.SIZE**2
    other = scene.table.replace(rgb=np.where(last, np.float32(0.3), scene.table.rgb))

    def trained(trust, table):
        given = scene.replace(trust=np.asarray(trust, np.float32), table=table)
        return jax.tree.leaves(t.run(field, stage, given, [2])[0].params)

    unseen = zip(trained([1, 2, 0], scene.table), trained([1, 2, 0], other), strict=True)
    assert all(np.array_equal(one, two) for one, two in unseen)
    seen = zip(trained([1, 1, 1], scene.table), trained([1, 1, 1], other), strict=True)
    assert not all(np.array_equal(one, two) for one, two in seen)


def test_branches_are_pulled_towards_their_mean(scene):
    # Of 1, 3 and 8 the mean is 4, the mean of 9, 1 and 16 is 26 / 3; twice, for two parameters.
    leaf = jnp.asarray([1.0, 3.0, 8.0])[:, None] * jnp.ones((3, 2))
    np.testing.assert_allclose(branch_spread({"layer": leaf}), 2 * 26 / 3, rtol=1e-6)
    field, stage = t.make_field(), t.STAGES[1]

    def spread(pull):
        state = t.run(field, replace(stage, pull=pull), scene, [3])[0]
        return float(branch_spread(state.params["views"]))

    assert 0 < spread(100.0) < 0.5 * spread(0.0)
