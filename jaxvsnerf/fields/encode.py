"""ENCODE: positions and directions to features, computed in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxvsnerf.fields.hashgrid import HashSpec, hash_encode, init_tables
from jaxvsnerf.fields.shared import aligned
from jaxvsnerf.geometry.cameras import HALF_EXTENT
from jaxvsnerf.system.settings import check_spec, setting
from jaxvsnerf.types import Array


class Encoder(NamedTuple):
    """An encoding of positions.

    Attributes:
      size: features per position.
      position: first of the three features that are the position itself, scaled.
      init: key -> initial parameters, or None for an encoding without parameters.
      apply: (parameters, means [..., 3], detail) -> [..., aligned(size)] float32, zero-padded at
        the end. `detail` [] in [0, 1] opens the finer frequencies, see `open_frequencies`; None
        opens all.
    """

    size: int
    position: int
    init: Callable[[Array], Array | None]
    apply: Callable[[Array | None, Array, Array | None], Array]


@dataclass(frozen=True)
class FrequencySpec:
    """NeRF's positional encoding of `position_scale` times the position; no parameters."""

    pos_freqs: int = setting(
        10, "Frequencies of the position, in both encodings.", at_least=1, at_most=32
    )
    position_scale: float = setting(
        2.0,
        "Factor of the positions before their frequencies.",
        above=0,
        at_most=1000,
    )

    def __post_init__(self):
        check_spec(self, "field")

    def build(self) -> Encoder:
        """The functions of the encoding."""
        return Encoder(
            size=posenc_size(3, self.pos_freqs),
            position=0,
            init=lambda key: None,
            apply=lambda learned, means, detail=None: _posenc_beside(
                means * self.position_scale, self.pos_freqs, 0, detail
            ),
        )


@dataclass(frozen=True)
class HashEncoderSpec(FrequencySpec):
    """Instant-NGP's hash encoding, concatenated with NeRF's positional encoding.

    Choice: few frequencies, by which view-specific layers can deform the object slightly; the
    hash tables, shared by all views, hold the details.

    Attributes:
      hash_grid: sizes of the hash encoding.
      half_extent: half the side of the cube that the hash grid covers.
    """

    hash_grid: HashSpec = HashSpec()
    half_extent: float = HALF_EXTENT

    def build(self) -> Encoder:
        """The functions of the encoding; its parameters are the hash tables."""
        spec = self.hash_grid
        learned = spec.levels * spec.features

        def apply(tables: Array, means: Array, detail: Array | None = None) -> Array:
            found = hash_encode(tables, 0.5 + means / (2.0 * self.half_extent), spec)
            if detail is not None:
                found *= jnp.repeat(open_frequencies(detail, spec.levels), spec.features)
            waves = _posenc_beside(means * self.position_scale, self.pos_freqs, learned, detail)
            missing = waves.shape[-1] - learned
            return waves + jnp.pad(found, ((0, 0),) * (found.ndim - 1) + ((0, missing),))

        return Encoder(
            size=learned + posenc_size(3, self.pos_freqs),
            position=learned,
            init=lambda key: init_tables(key, spec),
            apply=apply,
        )


def open_frequencies(detail: Array, num: int) -> Array:
    """Coarse-to-fine weights of frequencies, the coarsest first.

    Args:
      detail: [] 0 opens only the coarsest frequency, 1 opens all; frequencies in between open
        one after another.
      num: number of frequencies.

    Returns:
      [num] weights in [0, 1].

    Source: Nerfies (arXiv:2011.12948) equation 8, with a linear ramp instead of a cosine.
    """
    return jnp.clip(1.0 + detail * (num - 1) - np.arange(num), 0.0, 1.0)


def posenc(x: Array, num_freqs: int) -> Array:
    """NeRF's positional encoding, including the input itself.

    Args:
      x: [..., C] float32.
      num_freqs: L, for frequencies 2^0 ... 2^(L-1).

    Returns:
      [..., C * (1 + 2 L)]: x, then sin(2^l x) and cos(2^l x) for every l.

    Source: NeRF (arXiv:2003.08934) equation 4. Choice: without the equation's factor pi, as in
    NeRF's published code.
    """
    scales = 2.0 ** jnp.arange(num_freqs, dtype=jnp.float32)
    scaled = (x[..., None, :] * scales[:, None]).reshape(*x.shape[:-1], num_freqs * x.shape[-1])
    return jnp.concatenate([x, jnp.sin(scaled), jnp.cos(scaled)], -1)


def _posenc_beside(x: Array, num_freqs: int, first: int, detail: Array | None) -> Array:
    """`posenc` in columns from `first` on; the columns before and the padding after are zero.

    `detail` weighs the frequencies, but not the position itself; None opens all frequencies.

    Computed elementwise: a concatenation took as long on an H200 as two layers of the MLP, twice
    per step. Each column sums C products of which all but one are 0, so that sums are exact.
    """
    channels, size = x.shape[-1], posenc_size(x.shape[-1], num_freqs)
    wave = np.arange(size - channels)
    columns = np.arange(aligned(first + size)) - first
    scales = np.zeros((channels, len(columns)), np.float32)
    scales[np.arange(channels), first + np.arange(channels)] = 1.0
    scales[wave % channels, first + channels + wave] = 2.0 ** (wave // channels % num_freqs)
    scaled = sum(x[..., c : c + 1] * scales[c] for c in range(channels))
    waves = jnp.where(columns < channels * (1 + num_freqs), jnp.sin(scaled), jnp.cos(scaled))
    waves = jnp.where((columns >= channels) & (columns < size), waves, 0.0)
    if detail is not None:
        waves *= open_frequencies(detail, num_freqs)[(columns // channels - 1) % num_freqs]
    return jnp.where((columns >= 0) & (columns < channels), scaled, waves)


def posenc_size(channels: int, num_freqs: int) -> int:
    """Number of features of `posenc` for `channels` inputs."""
    return channels * (1 + 2 * num_freqs)
