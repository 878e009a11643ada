"""Layers of the generator against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from jaxvsnerf.generation.attention import attend
from jaxvsnerf.generation.clip import resize_matrix
from jaxvsnerf.generation.depth_attention import DepthTransformer
from jaxvsnerf.generation.geometry import interpolate, target_cameras, target_views
from jaxvsnerf.generation.layers import GroupNorm, UpConv3d
from jaxvsnerf.generation.schedule import ddim_steps
from jaxvsnerf.geometry.cameras import project

pytestmark = pytest.mark.unoptimized
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def test_a_transposed_convolution_sends_every_input_to_outputs_2i_minus_1_plus_tap():
    x, kernel, bias = normal(1, 2, 3, 2, 4), normal(3, 3, 3, 4, 5), normal(5)
    expected = np.tile(bias, (1, 4, 6, 4, 1))
    for place in np.ndindex(2, 3, 2):
        for taps in np.ndindex(3, 3, 3):
            at = tuple(2 * i - 1 + k for i, k in zip(place, taps, strict=True))
            if all(0 <= a < size for a, size in zip(at, expected.shape[1:4], strict=True)):
                expected[(0, *at)] += x[(0, *place)] @ kernel[taps]
    found = UpConv3d(5).apply({"params": {"up_kernel": kernel, "bias": bias}}, x)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_group_norm_is_of_all_positions_and_exact_for_a_whole_volume():
    x, scale, bias = 3.0 + normal(2, 24, 24, 24, 16), normal(16), normal(16)
    found = GroupNorm(8).apply({"params": {"scale": scale, "bias": bias}}, x)
    groups = x.astype(np.float64).reshape(2, -1, 8, 2)
    mean, var = groups.mean((1, 3), keepdims=True), groups.var((1, 3), keepdims=True)
    expected = ((groups - mean) / np.sqrt(var + 1e-5)).reshape(x.shape) * scale + bias
    np.testing.assert_allclose(found, expected, atol=3e-6)


@pytest.mark.parametrize("tokens", [7, 1024])
def test_attention_is_softmax_of_scaled_products(tokens):
    q, k, v = normal(2, 3, tokens, 2, 4).swapaxes(0, 1)
    found = attend(*(jnp.asarray(y) for y in (q, k, v)))
    logits = np.einsum("nthd,nshd->nhts", q, k) / 2.0
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    np.testing.assert_allclose(found, np.einsum("nhts,nshd->nthd", weights, v), atol=2e-6)


def test_pictures_without_a_volume_see_a_zero_volume_in_depth_attention():
    x, volume = normal(3, 4, 4, 32), normal(1, 6, 4, 4, 16)
    net = DepthTransformer()
    variables = net.init(jax.random.key(0), x, np.zeros((3, 6, 4, 4, 16), np.float32))
    # The norms' shifts are what remains of a zero volume.
    params = jax.tree.map(lambda leaf: leaf + normal(*leaf.shape), variables["params"])
    whole = np.concatenate([volume, np.zeros((2, 6, 4, 4, 16), np.float32)])
    found, expected = (net.apply({"params": params}, x, v) for v in (volume, whole))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("sizes", [(5, 7), (4, 5, 6)])
def test_interpolation_is_linear_and_zero_beyond_the_grid(sizes):
    values = normal(*sizes, 2)
    positions = RNG.uniform(-2.0, 8.0, size=(200, len(sizes))).astype(np.float32)
    expected = [
        scipy.ndimage.map_coordinates(values[..., c], positions.T, order=1, mode="grid-constant")
        for c in range(2)
    ]
    np.testing.assert_allclose(interpolate(values, positions), np.stack(expected, -1), atol=2e-6)


def test_bicubic_resizing_keeps_corners_and_lines():
    matrix = resize_matrix(64, 224)
    np.testing.assert_allclose(matrix.sum(1), 1.0, atol=1e-6)
    assert matrix[0, 0] == 1.0 and matrix[-1, -1] == 1.0
    line = matrix @ np.linspace(0.0, 1.0, 64)
    np.testing.assert_allclose(line[4:-4], np.linspace(0.0, 1.0, 224)[4:-4], atol=3e-3)
    np.testing.assert_allclose(resize_matrix(16, 16), np.eye(16), atol=1e-6)


def test_frustum_points_are_seen_at_their_pixel_by_their_view():
    voxels, cameras = target_views().voxels[[3, 12]], target_cameras()
    world = voxels[..., ::-1] / 31.0 - 0.5
    intrinsics = cameras.intrinsics[0] * np.array([[1 / 8], [1 / 8], [1.0]], np.float32)
    for view, points in zip((3, 12), world, strict=True):
        pixels, depth = project(intrinsics, cameras.w2c[view], points)
        row, column = np.mgrid[:32, :32]
        expected = np.broadcast_to(np.stack([column, row], -1), pixels.shape)
        np.testing.assert_allclose(pixels, expected, atol=1e-3)
        np.testing.assert_allclose(np.diff(depth[:, 5, 9]), 2 * 0.86603 / 47, atol=1e-5)


def test_steps_that_do_not_divide_1000_give_one_more():
    assert [len(ddim_steps(count, 1.0).index) for count in (50, 30, 1)] == [50, 31, 1]
    table = ddim_steps(50, 0.0)
    assert table.index[0] == 981 and table.index[-1] == 1 and not table.sigma.any()
