"""The usual mistakes with cameras, told by which correction makes the views agree best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxvsnerf.data.similarity import find_similarity
from jaxvsnerf.diagnose.corrections import (
    LENS,
    Correction,
    lens_corrections,
    order_corrections,
    pose_corrections,
    swaps,
)
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import transform_cameras
from jaxvsnerf.metrics.consistency import Consistency, consistency, reduced
from jaxvsnerf.types import Cameras, Similarity, ViewSet

AS_GIVEN = "as given"
# Factors of the focal length that are tried, and by how much more on either side of the best.
FOCAL_FACTORS = (0.6, 0.77, 1.3, 1.7)
FINER = 1.14
# How much better a correction must do than the cameras as given before it is believed: right
# sets, real ones among them, stay below (experiments/inspect).
MARGIN = 0.05
# Another angle of view changes little in a ring of views: believed where the gain is large, or
# small but in all views, that is, so many standard errors from none. Few views tell neither.
LENS_MARGIN = 0.03
LENS_SMALL = 0.008
LENS_ERRORS = 5.5
LENS_VIEWS = 6
# Loss of silhouettes (IoU) that tells of an object that the sampled cube cuts off.
CUT_OFF = 0.05
# Share of the cube's side below which an object is small.
SMALL = 0.35


class Finding(NamedTuple):
    """How well the views agree after a correction.

    Attributes:
      name: the mistake, or AS_GIVEN.
      advice: what to do about it.
      score: `Consistency.score` in a cube fitted to the hull; 0 where there is none.
      views: [V] the same of each view.
    """

    name: str
    advice: str
    score: float
    views: np.ndarray


class Diagnosis(NamedTuple):
    """What was found.

    Attributes:
      mistake: the finding that is believed, or None.
      findings: every correction, the best first.
      box: [2, 3] corners of the hull's box in the object's cube, or None where the masks share
        no volume.
      place: what is wrong with the object's place or size in its cube, else ''.
    """

    mistake: Finding | None
    findings: tuple[Finding, ...]
    box: np.ndarray | None
    place: str


def diagnose(
    views: ViewSet, to_cube: Similarity | None, sheet: tuple[int, int] | None = None
) -> Diagnosis:
    """Looks for a mistake in the cameras of a set or in the order of its pictures.

    A rotation of the whole world is none that pictures could tell: an object that lies on its
    side agrees as well.

    Args:
      views: V views with masks; cameras in the source's frame.
      to_cube: source's frame -> object's cube; None where none was found.
      sheet: (rows, columns) of the views in one picture, None for files.

    Returns:
      The diagnosis.

    Raises:
      ValueError: views without masks, or fewer than two.
    """
    if views.masks is None or len(views.images) < 2:
        raise InputError("a diagnosis needs at least two views, and masks; got neither or one")
    images, masks, cameras = reduced(views.images, views.masks, views.cameras)

    def tell(one: Correction) -> Finding:
        order = list(one.order or range(len(images)))
        return _finding(one, _fitted(images[order], masks[order], one.cameras))

    given = _fitted(images, masks, cameras)
    tried = [_finding(Correction(AS_GIVEN, "nothing to do", cameras), given)]
    fixed = [*pose_corrections(cameras), *order_corrections(cameras, views.names, sheet)]
    fixed += [
        *lens_corrections(cameras, FOCAL_FACTORS),
        *swaps(cameras, views.names, tried[0].views),
    ]
    tried += map(tell, fixed)
    scores = [one.score for one in tried if one.name == LENS]
    if scores and max(scores) > tried[0].score:
        best = FOCAL_FACTORS[int(np.argmax(scores))]
        finer = lens_corrections(cameras, (best / FINER, best * FINER))
        tried += map(tell, finer)
    findings = sorted(tried, key=lambda one: -one.score)
    mistake = _believed(findings, tried[0])
    if given is None or to_cube is None:
        return Diagnosis(mistake, tuple(findings), None, "")
    box = _box(given[1], to_cube)
    within = consistency(images, masks, transform_cameras(cameras, to_cube))
    place = _place(box, given[0].silhouettes - within.silhouettes)
    return Diagnosis(mistake, tuple(findings), box, place)


def _believed(findings: Sequence[Finding], given: Finding) -> Finding | None:
    """The best finding that is better than the cameras as given by enough."""
    for one in findings:
        gain = one.score - given.score
        if one.name != LENS:
            if gain > MARGIN:
                return one
        elif gain > LENS_SMALL and len(one.views) >= LENS_VIEWS:
            gains = one.views - given.views
            error = gains.std(ddof=1) / np.sqrt(len(gains))
            if gain > LENS_MARGIN or gains.mean() > LENS_ERRORS * error:
                return one
    return None


def _finding(one: Correction, fitted: tuple[Consistency, Similarity] | None) -> Finding:
    if fitted is None:
        return Finding(one.name, one.advice, 0.0, np.zeros(len(one.cameras.w2c)))
    found = fitted[0]
    return Finding(one.name, one.advice, found.score, found.view_silhouettes * found.view_colors)


def _fitted(
    images: np.ndarray, masks: np.ndarray, cameras: Cameras
) -> tuple[Consistency, Similarity] | None:
    """Agreement in a cube fitted to the hull, and that cube; None where there is no hull."""
    try:
        similarity = find_similarity(cameras, masks)
    except ValueError:
        return None
    return consistency(images, masks, transform_cameras(cameras, similarity)), similarity


def _box(fit: Similarity, to_cube: Similarity) -> np.ndarray:
    """[2, 3] corners, in the object's cube, of what `fit` puts into a cube of side 1."""
    corners = np.array([[-0.5] * 3, [0.5] * 3])
    corners = (corners - np.asarray(fit.translation)) / fit.scale
    moved = to_cube.scale * corners @ np.asarray(to_cube.rotation).T + to_cube.translation
    return np.sort(moved, axis=0)


def _place(box: np.ndarray, lost: float) -> str:
    """What is wrong with the place or the size of the object."""
    middle, side = box.mean(0), float(np.ptp(box, axis=0).max())
    advice = "similarity=({:.3g},{})".format(
        1.0 / side, ",".join(f"{-one / side:.3g}" for one in middle)
    )
    if lost > CUT_OFF:
        return f"the object reaches outside its cube, where nothing is sampled; {advice} fits it"
    if side < SMALL:
        return f"the object fills only {side:.2f} of its cube's side; {advice} fits it"
    return ""
