"""Makes pictures with the faults that preprocessing should remove, and scores them."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxvsnerf.config import resolve
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import optical_axes
from jaxvsnerf.preprocess.harmonize import apply_colors
from jaxvsnerf.run.dataset import read_pictures
from jaxvsnerf.simulate.inconsistency import simulate
from jaxvsnerf.simulate.severity import SEVERITIES, Severity
from jaxvsnerf.study.objects import StudyObject
from jaxvsnerf.types import ViewSet

# Views that an outlier may replace. They are away from the input view, which a generator copies.
PLACES = range(3, 14)
HEAVY = Severity(shape=0.05, slide=0.05, shared=0.0)
# Views (of 16) with drifting colours; standard deviations of log gains and of offsets.
DRIFTING, DRIFT_GAIN, DRIFT_OFFSET = 6, 0.2, 0.03
JPEG_QUALITY = 25
SHIFT = 0.1
OUTLIERS = ("other", "shift", "turned", "mirror", "warp")
NOISE = {"noise.05": 0.05, "noise.1": 0.1}
# The most informative cases come first, because a run may be stopped early.
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
      views: pictures with faults, rounded to 8 bits.
      truth: the true pictures of all views.
      planted: [V] bool, the planted outliers.
    """

    views: ViewSet
    truth: ViewSet
    planted: np.ndarray


def make_case(
    item: StudyObject, donor: StudyObject, case: str, seed: int, downscale: int = 1
) -> Faulty:
    """Makes the views of an object in one case.

    Args:
      item: the object.
      donor: another object; its views are the outliers of the kind `other`.
      case: one of `CASES`; all cases except `clean` and `severe` have `medium` damage too.
      seed: seed of all random numbers.
      downscale: integer factor that shrinks the pictures.
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
    """Loads the true views of an object, with view 0 as the input view.

    Raises:
      InputError: the object has no truth pictures.
    """
    config = resolve.with_data(default_config(), item.data)
    config.data.downscale = downscale
    truth = read_pictures(config).truth
    if truth is None:
        raise InputError(f"{item.name}: expected truth pictures, there are none")
    return truth.replace(input_axis=np.asarray(optical_axes(truth.cameras))[0])


@lru_cache(maxsize=64)
def damaged(item: StudyObject, severity: str, seed: int, downscale: int) -> ViewSet:
    """Damages the views of an object.

    Args:
      item: the object.
      severity: a name of SEVERITIES, or `heavy`.
      seed: seed of the damage.
      downscale: integer factor that shrinks the pictures.
    """
    kind = HEAVY if severity == "heavy" else SEVERITIES[severity]
    return simulate(load_truth(item, downscale), kind, seed).views


def _noisy(views: ViewSet, sigma: float, rng: np.random.Generator) -> ViewSet:
    """Adds white noise on the object; the plain background stays."""
    noise = sigma * rng.standard_normal(views.images.shape)
    return views.replace(images=np.clip(views.images + views.masks[..., None] * noise, 0.0, 1.0))


def _drifted(views: ViewSet, rng: np.random.Generator) -> ViewSet:
    """Changes gains and offsets of some views' colours."""
    count = len(views.images)
    gains, offsets = np.ones((count, 3)), np.zeros((count, 3))
    which = rng.choice(count, min(DRIFTING, count), replace=False)
    gains[which] = np.exp(DRIFT_GAIN * rng.standard_normal((len(which), 3)))
    offsets[which] = DRIFT_OFFSET * rng.standard_normal((len(which), 3))
    images = apply_colors(views.images, views.masks, views.background, gains, offsets)
    return views.replace(images=images)


def _compressed(views: ViewSet) -> ViewSet:
    """Compresses the object with JPEG; the plain background stays."""

    def one(image: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        picture = Image.fromarray(np.round(255.0 * image).astype(np.uint8))
        picture.save(file, "JPEG", quality=JPEG_QUALITY)
        return np.asarray(Image.open(file, formats=("JPEG",)), np.float32) / 255.0

    images = np.stack([one(image) for image in views.images])
    return views.replace(images=np.where(views.masks[..., None] > 0, images, views.images))


def _misplaced(views: ViewSet, kind: str) -> ViewSet:
    """Mirrors all views, moves them to the right, or takes them from a quarter turn away."""
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
