"""ENCODE: positions and directions to features, in float32."""

from __future__ import annotations

import jax.numpy as jnp

from jaxvsnerf.types import Array


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


def posenc_size(channels: int, num_freqs: int) -> int:
    """How many features `posenc` makes of `channels`."""
    return channels * (1 + 2 * num_freqs)
