"""What the generator makes of weights that mean nothing, kept to notice when it changes.

    python -m tests.generation_record

writes tests/fixtures/generation/recorded.npz anew. The code that wrote it had reproduced the
original's outputs (`experiments/generation_parity`); without those, and so on every clone, this
record is what tests compare with.
"""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from jaxvsnerf.generation import syncdreamer, zero123
from jaxvsnerf.generation.networks import random_params
from jaxvsnerf.generation.spec import NUM_VIEWS, TINY
from jaxvsnerf.run.request import Request, plan_request
from jaxvsnerf.run.samples import sample_views
from jaxvsnerf.types import Params
from tests.generator_weights import save_tiny

PATH = Path(__file__).parent / "fixtures" / "generation" / "recorded.npz"
# A pixel of so many in both directions is kept.
STRIDE = 8
KEPT = (..., slice(None, None, STRIDE), slice(None, None, STRIDE), slice(None))


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


def draw_photo(path: Path) -> Path:
    """Writes a cut-out photo, an ellipse of no meaning."""
    y, x = np.mgrid[:200, :240]
    inside = (x - 110) ** 2 + 2 * (y - 90) ** 2 < 70**2
    drawn = np.dstack([x, y, x // 2 + 60, 255 * inside]).astype(np.uint8)
    Image.fromarray(drawn).save(path)
    return path


def photo_request(image: Path, weights: Path) -> Request:
    """What the chain from a photo to an object is asked for: a guided sample in one step."""
    return Request(str(image), str(weights), elevation_deg=20.0, steps=1)


def photo_views(view_batch: int) -> np.ndarray:
    """The views of the drawn photo by the weights of `save_tiny`: [1, 16, 256, 256, 3] uint8."""
    with tempfile.TemporaryDirectory() as folder:
        image = draw_photo(Path(folder) / "drawn.png")
        request = photo_request(image, save_tiny(Path(folder) / "weights"))
        return sample_views(plan_request(dataclasses.replace(request, view_batch=view_batch)))


def assert_same_pictures(found: np.ndarray, expected: np.ndarray) -> None:
    """Compares pictures uint8 with what is kept of them.

    Values on the edge between two numbers may fall either way.
    """
    difference = np.abs(found[KEPT].astype(int) - expected)
    assert difference.max() <= 1 and (difference > 0).mean() < 0.02


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    pictures = {
        "views": views(NUM_VIEWS),
        "novel": novel_view(5),
        "photo_views": photo_views(NUM_VIEWS),
    }
    np.savez_compressed(PATH, **{name: found[KEPT] for name, found in pictures.items()})
