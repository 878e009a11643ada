"""ENCODE: positions and directions to features, in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxvsnerf.fields.hashgrid import HashSpec, hash_encode, init_tables
from jaxvsnerf.fields.shared import aligned
from jaxvsnerf.types import Array

ENCODINGS = ("frequency", "hash")


class Encoder(NamedTuple):
    """How positions become features.

    Attributes:
      size: features made of a position.
      init: key -> what it learns, None where it learns nothing.
      apply: (learned, means [..., 3], detail) -> [..., aligned(size)] float32, zeros at the
        end. `detail` [] opens the finer frequencies, see `open_frequencies`; None opens all.
    """

    size: int
    init: Callable[[Array], Array | None]
    apply: Callable[[Array | None, Array, Array | None], Array]


def frequency_encoder(num_freqs: int, position_scale: float) -> Encoder:
    """NeRF's encoding of `position_scale` times the position; it learns nothing."""
    return Encoder(
        size=posenc_size(3, num_freqs),
        init=lambda key: None,
        apply=lambda learned, means, detail=None: _posenc_beside(
            means * position_scale, num_freqs, 0, detail
        ),
    )


def hash_encoder(
    spec: HashSpec, half_extent: float, num_freqs: int, position_scale: float
) -> Encoder:
    """Instant-NGP's encoding of the cube of half side `half_extent`, NeRF's beside it.

    Choice: few frequencies, so that layers which read them can bend the object a little
    for one view; the tables, which all views share, hold its details.
    """

    def apply(tables: Array, means: Array, detail: Array | None = None) -> Array:
        found = hash_encode(tables, 0.5 + means / (2.0 * half_extent), spec)
        if detail is not None:
            found *= jnp.repeat(open_frequencies(detail, spec.levels), spec.features)
        waves = _posenc_beside(means * position_scale, num_freqs, learned, detail)
        missing = waves.shape[-1] - learned
        return waves + jnp.pad(found, ((0, 0),) * (found.ndim - 1) + ((0, missing),))

    learned = spec.levels * spec.features
    return Encoder(
        size=learned + posenc_size(3, num_freqs),
        init=lambda key: init_tables(key, spec),
        apply=apply,
    )


def open_frequencies(detail: Array, num: int) -> Array:
    """[num] how far each frequency, coarsest first, is open: 0 to 1.

    Args:
      detail: [] 0 opens the coarsest alone, 1 all; in between they open one after the other.
      num: how many there are.

    Source: Nerfies (arXiv:2011.12948) equation 8, rising straight instead of as a cosine.
    """
    return jnp.clip(1.0 + detail * (num - 1) - np.arange(num), 0.0, 1.0)


def posenc(x: Array, num_freqs: int) -> Array:
    """NeRF's positional encoding, the input itself included.

    Args:
      x: [..., C] float32.
      num_freqs: L, frequencies 2^0 ... 2^(L-1).

    Returns:
      [..., C * (1 + 2 L)]: x, then sin(2^l x) and cos(2^l x) for every l.

    Source: NeRF (arXiv:2003.08934) equation 4. Choice: without its factor pi, as in
    the code that NeRF was published with.
    """
    scales = 2.0 ** jnp.arange(num_freqs, dtype=jnp.float32)
    scaled = (x[..., None, :] * scales[:, None]).reshape(*x.shape[:-1], num_freqs * x.shape[-1])
    return jnp.concatenate([x, jnp.sin(scaled), jnp.cos(scaled)], -1)


def _posenc_beside(x: Array, num_freqs: int, first: int, detail: Array | None) -> Array:
    """`posenc` from column `first` on, zeros before it and up to the alignment, as one map.

    `detail` opens its frequencies, not the position itself; None opens all.

    A concatenation took an H200 as long as two layers of the MLP, twice a step. Every
    product but one is with 0, so that the sums are exact.
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
    """How many features `posenc` makes of `channels`."""
    return channels * (1 + 2 * num_freqs)
