"""DECODE: the other end of the field. Radiance; signed distance and reflectance fit here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.fields.encode import posenc
from jaxvsnerf.fields.shared import dense, kernel_init, matmul_precision
from jaxvsnerf.types import Array, FieldOut, Params, Samples

ACTIVATIONS = ("softplus", "relu")


class RadianceHeads(nn.Module):
    """NeRF's heads: density, a linear bottleneck, one layer with the direction, colour.

    Source: NeRF (arXiv:2003.08934) figure 7.
    """

    width: int
    dir_freqs: int
    dtype: Any

    @nn.compact
    def __call__(self, feature: Array, viewdirs: Array) -> tuple[Array, Array]:
        """feature [..., S, F], viewdirs [..., 1, 3] -> logits [..., S, 1], [..., S, 3]."""
        # The two outputs leave the matrix product in float32: density is exponentiated.
        outputs = partial(
            nn.Dense,
            dtype=self.dtype,
            kernel_init=kernel_init,
            precision=matmul_precision(self.dtype),
            dot_general=partial(jax.lax.dot_general, preferred_element_type=jnp.float32),
        )
        density = outputs(1, name="density")(feature)
        bottleneck = dense(self.width, self.dtype, "bottleneck")(feature)
        encoded = posenc(viewdirs, self.dir_freqs).astype(self.dtype)
        encoded = jnp.broadcast_to(encoded, (*bottleneck.shape[:-1], encoded.shape[-1]))
        hidden = jnp.concatenate([bottleneck, encoded], -1)
        hidden = nn.relu(dense(self.width // 2, self.dtype, "direction")(hidden))
        return density, outputs(3, name="rgb")(hidden)


def decode_radiance(
    heads: RadianceHeads,
    params: Params,
    trunk: Callable[[Samples], Array],
    samples: Samples,
    *,
    activation: str,
    scale: float,
    shift: float,
    view_dependent: bool,
) -> FieldOut:
    """Density and colour from the trunk's feature.

    Args:
      heads: the module.
      params: its parameters.
      trunk: samples -> feature [..., S, F]; a function, since other decoders
        differentiate through it with respect to position.
      samples: where.
      activation: of the density, `softplus` or `relu`.
      scale: density = scale * activation(logit + shift), per cube side.
      shift: see scale.
      view_dependent: False zeroes the direction before its encoding.

    Returns:
      FieldOut with optical_depth = density * length.
    """
    feature = trunk(samples)
    directions = samples.viewdirs
    if directions is None or not view_dependent:
        directions = jnp.zeros((*samples.means.shape[:-2], 3), jnp.float32)
    logit, rgb = heads.apply({"params": params}, feature, directions[..., None, :])
    nonlinear = jax.nn.softplus if activation == "softplus" else jax.nn.relu
    density = scale * nonlinear(logit[..., 0].astype(jnp.float32) + shift)
    return FieldOut(
        optical_depth=density * samples.lengths,
        rgb=jax.nn.sigmoid(rgb.astype(jnp.float32)),
        extras={},
    )
