"""What the generator makes of weights that mean nothing, kept to notice when it changes.

    python -m tests.generation_record

writes tests/fixtures/generation/recorded.npz anew. The code that wrote it had reproduced the
original's outputs (`experiments/generation_parity`); without those, and so on every clone, this
record is what tests compare with.
"""

from __future__ import annotations

import functools
from pathlib import Path

import jax
import numpy as np

from jaxvsnerf.generation import syncdreamer, zero123
from jaxvsnerf.generation.networks import random_params
from jaxvsnerf.generation.spec import NUM_VIEWS, TINY
from jaxvsnerf.types import Params

PATH = Path(__file__).parent / "fixtures" / "generation" / "recorded.npz"
# A pixel of so many in both directions is kept.
STRIDE = 8


@functools.cache
def params(model: str = "syncdreamer") -> Params:
    """Untrained weights."""
    return random_params(jax.random.key(7), TINY, model)


@functools.cache
def photo() -> np.ndarray:
    """A shaded ball on white, [256, 256, 3] in [-1, 1]."""
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    inside = (x**2 + y**2 < 0.6)[..., None]
    colour = np.stack([x, y, -x * y], -1)
    return np.where(inside, colour, 1.0).astype(np.float32)


def views(view_batch: int) -> np.ndarray:
    """A guided sample of SyncDreamer in one step: [1, 16, 256, 256, 3] uint8."""
    return syncdreamer.sample(
        params(), photo(), 0.3, jax.random.key(5), spec=TINY, steps=1, view_batch=view_batch
    )


def novel_view(seed: int) -> np.ndarray:
    """A guided sample of Zero-1-to-3 in one step: [1, 256, 256, 3] uint8."""
    camera = (0.2, 0.5, 0.0)
    return zero123.sample(
        params("zero123"), photo(), camera, jax.random.key(seed), spec=TINY, steps=2
    )


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    kept = (..., slice(None, None, STRIDE), slice(None, None, STRIDE), slice(None))
    np.savez_compressed(PATH, views=views(NUM_VIEWS)[kept], novel=novel_view(5)[kept])
