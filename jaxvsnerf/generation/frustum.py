"""View frusta: the spatial volume resampled along each view's rays, at four resolutions.

Source: Liu et al. 2023, SyncDreamer (arXiv:2309.03453), section 3.3.
"""

from __future__ import annotations

import flax.linen as nn
from jax import numpy as jnp

from jaxvsnerf.generation.layers import conv
from jaxvsnerf.generation.volume import VolumeBlock
from jaxvsnerf.types import Array


class FrustumNet(nn.Module):
    """3-D UNet over frustum samples of the spatial volume; returns features of every level.

    Attributes:
      widths: channels of the four levels; each level halves depth, height and width.
    """

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Array, time: Array, viewpoint: Array) -> dict[int, Array]:
        """Computes the frustum features of every level.

        Args:
          x: [V, D, s, s, C] samples of the spatial volume.
          time: [1, 256] embedding of the step.
          viewpoint: [V, 4] target viewpoints relative to the photo's.

        Returns:
          Features by width in pixels: s >> i maps to [V, D >> i, s >> i, s >> i, widths[i]],
          i = 0..3.
        """
        time, viewpoint = (jnp.expand_dims(y, (1, 2, 3)) for y in (time, viewpoint))
        x = conv(self.widths[0], "conv0", ndim=3)(x)
        levels = [x]
        for level, width in enumerate(self.widths[1:]):
            x = VolumeBlock(width, stride=2, name=f"conv{2 * level + 1}")(x, time, viewpoint)
            x = VolumeBlock(width, name=f"conv{2 * level + 2}")(x, time, viewpoint)
            levels.append(x)
        found = {x.shape[-2]: x}
        for index, skip in enumerate(reversed(levels[:-1])):
            block = VolumeBlock(skip.shape[-1], up=True, name=f"up{index}")
            x = skip + block(x, time, viewpoint)
            found[x.shape[-2]] = x
        return found
