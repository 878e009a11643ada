"""Sampling: as recorded, the same for any batching, of its key alone, and in the told dtype."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.generation import denoising, syncdreamer, zero123
from jaxvsnerf.generation.geometry import target_views
from jaxvsnerf.generation.networks import param_shapes
from jaxvsnerf.generation.spec import FULL, TINY
from tests import generation_record as given

pytestmark = pytest.mark.unoptimized


@pytest.fixture(scope="module")
def recorded():
    with np.load(given.PATH) as file:
        return dict(file)


@pytest.mark.slow
def test_views_four_at_a_time_are_as_recorded_of_sixteen_at_a_time(recorded):
    # Those that the command makes of a photo are compared in run/test_generate.py.
    views = given.views(view_batch=4)
    assert views.shape == (1, 16, 256, 256, 3) and views.dtype == np.uint8
    given.assert_same_pictures(views, recorded["views"])


def test_noise_depends_on_the_key():
    first, again, other = (syncdreamer.draw_noise(jax.random.key(k), 2) for k in (5, 5, 6))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    for one, two in zip(first, other, strict=True):
        assert abs(np.corrcoef(np.ravel(one), np.ravel(two))[0, 1]) < 0.05


@pytest.mark.slow
def test_a_novel_view_is_as_recorded_and_depends_on_the_key(recorded):
    found = given.novel_view(5)
    assert found.shape == (1, 256, 256, 3) and found.dtype == np.uint8
    given.assert_same_pictures(found, recorded["novel"])
    assert np.abs(given.novel_view(6).astype(int) - found).mean() > 5


def test_zero123_leaves_out_the_noisiest_step():
    table = zero123.novel_steps(50, 1.0)
    np.testing.assert_array_equal(table.index, np.arange(961, 0, -20))


def test_steps_go_in_equal_calls():
    assert [syncdreamer.steps_per_call(n) for n in (1, 4, 31, 50, 200)] == [1, 4, 1, 10, 10]


def products(jaxpr):
    """The dtypes of the operands of every product and convolution, loops included."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            yield tuple(variable.aval.dtype for variable in equation.invars)
        for inner in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from products(inner)


@pytest.mark.slow
def test_every_product_of_a_bfloat16_step_is_of_bfloat16_but_for_the_time_embeddings():
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16), param_shapes(FULL)
    )

    def step(params, x, index, condition, views):
        return denoising.predict_noise(params, x, index, condition, views, 2.0, 8, FULL)

    shape = denoising.Condition((32, 32, 4), (16, 768), (16, 4))
    condition = denoising.Condition(*(np.zeros(s, np.float32) for s in shape))
    traced = jax.make_jaxpr(step)(
        shapes, np.zeros((16, 32, 32, 4), np.float32), jnp.array(1), condition, target_views()
    )
    found = list(products(traced.jaxpr))
    # Two layers each for the volumes (twice: once for all views, once a batch) and the UNet.
    others = [types for types in found if set(types) != {jnp.dtype(jnp.bfloat16)}]
    assert len(found) > 400 and len(others) <= 6


@pytest.mark.parametrize(
    "changed,said",
    [
        ({"photo": np.zeros((64, 64, 3))}, "prepared photo"),
        ({"photo": np.full((256, 256, 3), 255.0)}, "prepared photo"),
        ({"photo": np.full((256, 256, 3), np.nan)}, "prepared photo"),
        ({"elevation_rad": 30.0}, "radians"),
        ({"elevation_rad": np.nan}, "radians"),
        ({"steps": 0}, "steps"),
        ({"steps": 1001}, "steps"),
        ({"eta": 1.5}, "eta"),
        ({"num_samples": 0}, "sample"),
        ({"guidance": np.inf}, "guidance"),
        ({"view_batch": 5}, "divide 16"),
    ],
)
def test_bad_arguments_are_refused(changed, said):
    arguments = dict(photo=given.photo(), elevation_rad=0.3, key=jax.random.key(0)) | changed
    with pytest.raises(ValueError, match=said):
        syncdreamer.sample({}, spec=TINY, **arguments)


@pytest.mark.parametrize("changed", [{"camera": (np.nan, 0, 0)}, {"steps": 1}, {"num_samples": 0}])
def test_bad_arguments_of_a_novel_view_are_refused(changed):
    arguments = dict(photo=given.photo(), camera=(0.0, 0.0, 0.0), key=jax.random.key(0)) | changed
    with pytest.raises(ValueError, match="expected"):
        zero123.sample({}, spec=TINY, **arguments)
