"""Pictures with faults that preprocessing is meant for, and scores of them."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxvsnerf.config import resolve
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.geometry.cameras import optical_axes
from jaxvsnerf.preprocess.harmonize import apply_colors
from jaxvsnerf.run.dataset import read_pictures
from jaxvsnerf.simulate.inconsistency import simulate
from jaxvsnerf.simulate.severity import SEVERITIES, Severity
from jaxvsnerf.study.objects import StudyObject
from jaxvsnerf.types import ViewSet

# Of the views that an outlier may take the place of: away from the input view, whose picture a
# generator copies.
PLACES = range(3, 14)
HEAVY = Severity(shape=0.05, slide=0.05, shared=0.0)
# Views, of 16, whose colours drift, and by how much: deviation of log gains, and of offsets.
DRIFTING, DRIFT_GAIN, DRIFT_OFFSET = 6, 0.2, 0.03
JPEG_QUALITY = 25
SHIFT = 0.1
OUTLIERS = ("other", "shift", "turned", "mirror", "warp")
NOISE = {"noise.05": 0.05, "noise.1": 0.1}
# In this order, so that a run that is stopped has the most telling ones.
CASES = (
    "other3",
    "noise.1",
    "drift",
    "medium",
    "clean",
    "other1",
    "shift1",
    "jpeg",
    "turned1",
    "warp1",
    "noise.05",
    "severe",
    "mirror1",
    "shift3",
    "turned3",
    "warp3",
    "mirror3",
)


class Faulty(NamedTuple):
    """Pictures to reconstruct from.

    Attributes:
      views: with faults, as 8 bits hold them.
      truth: what they should show, all views.
      planted: [V] bool, which views show something else.
    """

    views: ViewSet
    truth: ViewSet
    planted: np.ndarray


def make_case(
    item: StudyObject, donor: StudyObject, case: str, seed: int, downscale: int = 1
) -> Faulty:
    """The views of an object in one case.

    Args:
      item: the object.
      donor: another one, whose views take the place of outliers of the kind `other`.
      case: one of `CASES`; all but `clean` and `severe` have `medium` damage too.
      seed: of everything drawn.
      downscale: whole factor by which pictures shrink.
    """
    truth = load_truth(item, downscale)
    planted = np.zeros(len(truth.images), bool)
    if case in SEVERITIES:
        return Faulty(_eight_bit(damaged(item, case, seed, downscale)), truth, planted)
    views = damaged(item, "medium", seed, downscale)
    rng = np.random.default_rng((seed, CASES.index(case)))
    if case in NOISE:
        views = _noisy(views, NOISE[case], rng)
    elif case == "drift":
        views = _drifted(views, rng)
    elif case == "jpeg":
        views = _compressed(views)
    else:
        kind, count = case[:-1], int(case[-1])
        planted[rng.choice(PLACES, count, replace=False)] = True
        wrong = {
            "other": lambda: damaged(donor, "medium", seed, downscale),
            "warp": lambda: damaged(item, "heavy", seed, downscale),
        }.get(kind, lambda: _misplaced(views, kind))()
        views = views.replace(
            images=np.where(planted[:, None, None, None], wrong.images, views.images),
            masks=np.where(planted[:, None, None], wrong.masks, views.masks),
        )
    return Faulty(_eight_bit(views), truth, planted)


@lru_cache(maxsize=32)
def load_truth(item: StudyObject, downscale: int) -> ViewSet:
    """The true views of an object, the axis of view 0 as that of the input picture."""
    config = resolve.with_data(default_config(), item.data)
    config.data.downscale = downscale
    truth = read_pictures(config).truth
    if truth is None:
        raise ValueError(f"{item.name}: expected truth pictures, there are none")
    return truth.replace(input_axis=np.asarray(optical_axes(truth.cameras))[0])


@lru_cache(maxsize=64)
def damaged(item: StudyObject, severity: str, seed: int, downscale: int) -> ViewSet:
    """The views of an object with one of the simulator's damages, or `heavy`."""
    kind = HEAVY if severity == "heavy" else SEVERITIES[severity]
    return simulate(load_truth(item, downscale), kind, seed).views


def _noisy(views: ViewSet, sigma: float, rng: np.random.Generator) -> ViewSet:
    """White noise on the object; the plain background stays."""
    noise = sigma * rng.standard_normal(views.images.shape)
    return views.replace(images=np.clip(views.images + views.masks[..., None] * noise, 0.0, 1.0))


def _drifted(views: ViewSet, rng: np.random.Generator) -> ViewSet:
    """Gains and offsets of some views' colours."""
    count = len(views.images)
    gains, offsets = np.ones((count, 3)), np.zeros((count, 3))
    which = rng.choice(count, min(DRIFTING, count), replace=False)
    gains[which] = np.exp(DRIFT_GAIN * rng.standard_normal((len(which), 3)))
    offsets[which] = DRIFT_OFFSET * rng.standard_normal((len(which), 3))
    images = apply_colors(views.images, views.masks, views.background, gains, offsets)
    return views.replace(images=images)


def _compressed(views: ViewSet) -> ViewSet:
    """What JPEG leaves of the object; the plain background stays."""

    def one(image: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        picture = Image.fromarray(np.round(255.0 * image).astype(np.uint8))
        picture.save(file, "JPEG", quality=JPEG_QUALITY)
        return np.asarray(Image.open(file, formats=("JPEG",)), np.float32) / 255.0

    images = np.stack([one(image) for image in views.images])
    return views.replace(images=np.where(views.masks[..., None] > 0, images, views.images))


def _misplaced(views: ViewSet, kind: str) -> ViewSet:
    """All views mirrored, moved to the right, or from a quarter turn away."""
    images, masks = views.images, views.masks
    if kind == "mirror":
        return views.replace(images=images[:, :, ::-1], masks=masks[:, :, ::-1])
    if kind == "turned":
        quarter = len(images) // 4
        return views.replace(images=np.roll(images, quarter, 0), masks=np.roll(masks, quarter, 0))
    pixels = round(SHIFT * masks.shape[2])
    moved, hidden = np.empty_like(images), np.zeros_like(masks)
    moved[:] = views.background
    moved[:, :, pixels:], hidden[:, :, pixels:] = images[:, :, :-pixels], masks[:, :, :-pixels]
    return views.replace(images=moved, masks=hidden)


def _eight_bit(views: ViewSet) -> ViewSet:
    images, masks = (
        np.round(255.0 * leaf).astype(np.float32) / np.float32(255.0)
        for leaf in (views.images, views.masks)
    )
    return views.replace(images=images, masks=masks)
