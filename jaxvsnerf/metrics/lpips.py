"""LPIPS: perceptual distance of two pictures in the features of a classifier.

A pure function of pictures and weights; `load_lpips` reads the weights from a file.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.lib import format as npy

from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.metrics.psnr import check_pair
from jaxvsnerf.system.stand_ins import check_is_itself
from jaxvsnerf.types import Array

MIN_SIDE = 32
EPS = 1e-10
# Mean and standard deviation of the classifiers' training pictures, for values in [-1, 1].
SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
SCALE = np.array([0.458, 0.448, 0.450], np.float32)
MAKE_WEIGHTS = "python -m jaxvsnerf.lpips_weights --network=alex --out=alex.npz makes one"


class Conv(NamedTuple):
    """A convolution and a ReLU; `number` is torchvision's layer number."""

    number: int
    kernel: int
    channels: int
    stride: int = 1
    padding: int = 1


class Fire(NamedTuple):
    """SqueezeNet's Fire module: 1x1 to `squeezed` channels, then 1x1 and 3x3 in parallel."""

    number: int
    squeezed: int
    channels: int


class Pool(NamedTuple):
    """Max pooling of stride 2; `ceil` keeps a last window that reaches beyond the border."""

    size: int
    ceil: bool = False


# Layers of each network, in blocks; features are taken at the end of each block.
NETWORKS: dict[str, tuple[tuple[Conv | Fire | Pool, ...], ...]] = {
    "alex": (
        (Conv(0, 11, 64, stride=4, padding=2),),
        (Pool(3), Conv(3, 5, 192, padding=2)),
        (Pool(3), Conv(6, 3, 384)),
        (Conv(8, 3, 256),),
        (Conv(10, 3, 256),),
    ),
    "squeeze": (
        (Conv(0, 3, 64, stride=2, padding=0),),
        (Pool(3, ceil=True), Fire(3, 16, 128), Fire(4, 16, 128)),
        (Pool(3, ceil=True), Fire(6, 32, 256), Fire(7, 32, 256)),
        (Pool(3, ceil=True), Fire(9, 48, 384)),
        (Fire(10, 48, 384),),
        (Fire(11, 64, 512),),
        (Fire(12, 64, 512),),
    ),
    "vgg": (
        (Conv(0, 3, 64), Conv(2, 3, 64)),
        (Pool(2), Conv(5, 3, 128), Conv(7, 3, 128)),
        (Pool(2), Conv(10, 3, 256), Conv(12, 3, 256), Conv(14, 3, 256)),
        (Pool(2), Conv(17, 3, 512), Conv(19, 3, 512), Conv(21, 3, 512)),
        (Pool(2), Conv(24, 3, 512), Conv(26, 3, 512), Conv(28, 3, 512)),
    ),
}


@dataclass(frozen=True)
class Lpips:
    """Name of a network and its weights by name, see `weight_shapes`."""

    network: str
    weights: Mapping[str, np.ndarray]


def weight_shapes(network: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network's weights, in torchvision's layout, with LPIPS's heads.

    features.N.weight [out, in, h, w] and features.N.bias [out]; a Fire module has squeeze,
    expand1x1 and expand3x3 after its number; heads are linK.weight [1, channels, 1, 1].
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, channels: int, given: int, kernel: int) -> None:
        shapes[f"features.{name}.weight"] = (channels, given, kernel, kernel)
        shapes[f"features.{name}.bias"] = (channels,)

    given = 3
    for index, block in enumerate(NETWORKS[network]):
        for layer in block:
            if isinstance(layer, Pool):
                continue
            if isinstance(layer, Conv):
                convolution(str(layer.number), layer.channels, given, layer.kernel)
            else:
                half = layer.channels // 2
                convolution(f"{layer.number}.squeeze", layer.squeezed, given, 1)
                convolution(f"{layer.number}.expand1x1", half, layer.squeezed, 1)
                convolution(f"{layer.number}.expand3x3", half, layer.squeezed, 3)
            given = layer.channels
        shapes[f"lin{index}.weight"] = (1, given, 1, 1)
    return shapes


def load_lpips(path: str | Path) -> Lpips:
    """Reads weights from an .npz file of the arrays that `weight_shapes` names.

    Raises:
      MissingFile: no such file.
      InputError: the file holds no weights of a known network, or NaN or infinity.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no LPIPS weights at {path}; {MAKE_WEIGHTS}")
    check_is_itself(path)
    try:
        with zipfile.ZipFile(path) as archive:
            network = _network_of(archive, path)
            weights = {name: _weight(archive, name) for name in weight_shapes(network)}
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - zipfile, zlib, lzma and NumPy raise any exception
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"{path}: expected an .npz file of LPIPS weights, got {words}; {MAKE_WEIGHTS}"
        ) from error
    check_weights(weights, str(path), MAKE_WEIGHTS)
    return Lpips(network, weights)


def check_weights(weights: Mapping[str, np.ndarray], where: str, mend: str) -> None:
    """Refuses weights of the right shapes that no training gives.

    Args:
      weights: see `weight_shapes`.
      where: where the weights come from, for the message.
      mend: what to do about them, for the message.

    Raises:
      InputError: NaN, infinity, or a head that is all 0.
    """
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise InputError(
                f"{where}: expected finite LPIPS weights, {name} holds NaN or infinity; {mend}"
            )
    heads = [value for name, value in weights.items() if name.startswith("lin")]
    if not all(head.any() for head in heads):
        raise InputError(
            f"{where}: expected LPIPS weights, one of the heads lin0, lin1 ... is all 0, which "
            f"would call every picture perfect; {mend}"
        )


def _network_of(archive: zipfile.ZipFile, path: Path) -> str:
    """The network whose weights an archive holds, told by the headers of the arrays alone.

    No array is read before all names and shapes are known: an archive of some megabytes can claim
    arrays of gigabytes.
    """
    members = archive.infolist()
    if len(members) <= max(len(weight_shapes(network)) for network in NETWORKS):
        found = {one.filename.removesuffix(".npy"): _header(archive, one) for one in members}
        for network in NETWORKS:
            if found == weight_shapes(network):
                return network
    raise InputError(
        f"{path}: expected the weights of one of {', '.join(NETWORKS)}, with LPIPS's heads, got "
        f"{len(members)} arrays that are no such set; {MAKE_WEIGHTS}"
    )


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[int, ...] | None:
    """The shape of an array of floats; None for any other array."""
    with archive.open(member) as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    return shape if dtype.kind == "f" else None


def _weight(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as file:
        return npy.read_array(file, allow_pickle=False).astype(np.float32, copy=False)


def lpips(image: Array, truth: Array, model: Lpips) -> Array:
    """LPIPS (version 0.1) of each pair of pictures: 0 if equal, larger if less similar.

    Args:
      image: [..., H, W, 3] in [0, 1], at least 32 pixels a side.
      truth: the same shape.
      model: network and weights.

    Returns:
      [...] float32, the mean over all positions; differentiable in the pictures.

    Raises:
      ValueError: the shapes differ or are not [..., H, W, 3].
      InputError: a side is shorter than 32 pixels.

    Source: Zhang et al. 2018 (arXiv:1801.03924) equation 1.
    """
    image, truth = jnp.asarray(image, jnp.float32), jnp.asarray(truth, jnp.float32)
    check_pair(image, truth)
    check_sides(image.shape)
    flat = jnp.stack([image, truth]).reshape(-1, *image.shape[-3:])
    total = 0.0
    for index, found in enumerate(_features(flat, model)):
        first, second = jnp.split(_unit(found), 2)
        head = model.weights[f"lin{index}.weight"].reshape(-1)
        total = total + jnp.sum(jnp.square(first - second) * head, -1).mean(-1).mean(-1)
    return total.reshape(image.shape[:-3])


def check_sides(shape: tuple[int, ...]) -> None:
    """Refuses pictures that are too small for the networks.

    Args:
      shape: [..., H, W, 3], the shape of the pictures.

    Raises:
      InputError: a side is shorter than 32 pixels.
    """
    if min(shape[-3:-1]) < MIN_SIDE:
        raise InputError(
            f"LPIPS needs at least {MIN_SIDE} pixels a side, got pictures {shape[-2]} x "
            f"{shape[-3]} (width x height)"
        )


def _features(images: Array, model: Lpips) -> Iterator[Array]:
    """Yields the features [N, h, w, C] at the end of each block."""
    hidden = (2.0 * images - 1.0 - SHIFT) / SCALE
    for block in NETWORKS[model.network]:
        for layer in block:
            hidden = _apply(hidden, layer, model.weights)
        yield hidden


def _unit(features: Array) -> Array:
    """Normalises features to length 1 at every position; zeros stay 0, with finite gradients."""
    squares = jnp.sum(jnp.square(features), -1, keepdims=True)
    length = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)
    return features / (length + EPS)


def _apply(hidden: Array, layer: Conv | Fire | Pool, weights: Mapping[str, np.ndarray]) -> Array:
    if isinstance(layer, Pool):
        return _pool(hidden, layer)
    if isinstance(layer, Conv):
        return _convolve(hidden, weights, str(layer.number), layer.stride, layer.padding)
    squeezed = _convolve(hidden, weights, f"{layer.number}.squeeze", 1, 0)
    wide = [
        _convolve(squeezed, weights, f"{layer.number}.expand{size}x{size}", 1, size // 2)
        for size in (1, 3)
    ]
    return jnp.concatenate(wide, -1)


def _convolve(
    hidden: Array, weights: Mapping[str, np.ndarray], name: str, stride: int, padding: int
) -> Array:
    """Convolution of [N, H, W, C] and ReLU."""
    outputs = jax.lax.conv_general_dilated(
        hidden,
        weights[f"features.{name}.weight"],
        (stride, stride),
        [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "OIHW", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,
    )
    return jax.nn.relu(outputs + weights[f"features.{name}.bias"])


def _pool(hidden: Array, layer: Pool) -> Array:
    def ceil_padding(side: int) -> int:
        """Padding in pixels that ceil-mode pooling needs at the end of an axis."""
        return (layer.size - side) % 2 if layer.ceil else 0

    padding = [(0, 0), *((0, ceil_padding(side)) for side in hidden.shape[1:3]), (0, 0)]
    window, strides = (1, layer.size, layer.size, 1), (1, 2, 2, 1)
    return jax.lax.reduce_window(hidden, -jnp.inf, jax.lax.max, window, strides, padding)
