"""Finds the usual camera mistakes: tries corrections and keeps the one of best agreement."""

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
# Factors of the focal length to try, then a finer factor on either side of the best.
FOCAL_FACTORS = (0.6, 0.77, 1.3, 1.7)
FINER = 1.14
# Gain in score over the cameras as given from which a correction is believed: correct sets,
# including real sets, stay below (experiments/inspect).
MARGIN = 0.05
# Another angle of view hardly changes the score of a ring of views. Such a correction is believed
# if the gain is large, or small but consistent over the views (this many standard errors above
# 0), and if there are enough views.
LENS_MARGIN = 0.03
LENS_SMALL = 0.008
LENS_ERRORS = 5.5
LENS_VIEWS = 6
# Loss of silhouette IoU from which the sampled cube cuts off the object.
CUT_OFF = 0.05
# Share of the cube's side below which an object counts as small.
SMALL = 0.35


class Finding(NamedTuple):
    """Agreement of the views after a correction.

    Attributes:
      name: name of the mistake, or AS_GIVEN.
      advice: how to correct the mistake.
      score: `Consistency.score` in a cube fitted to the hull; 0 if the hull is empty.
      views: [V] score of each view.
    """

    name: str
    advice: str
    score: float
    views: np.ndarray


class Diagnosis(NamedTuple):
    """Result of `diagnose`.

    Attributes:
      mistake: the finding that is believed, or None.
      findings: findings of all corrections, best first.
      box: [2, 3] corners of the hull's bounding box in the object's cube, or None if the masks
        share no volume.
      place: problem with the object's position or size in the cube, or ''.
    """

    mistake: Finding | None
    findings: tuple[Finding, ...]
    box: np.ndarray | None
    place: str


def diagnose(
    views: ViewSet, to_cube: Similarity | None, sheet: tuple[int, int] | None = None
) -> Diagnosis:
    """Looks for a mistake in the cameras of a set of views or in the order of its pictures.

    Pictures do not reveal a rotation of the whole world: views of an object that lies on its
    side agree as well.

    Args:
      views: V views with masks; cameras in the source's frame.
      to_cube: similarity from the source's frame to the object's cube, or None if none was found.
      sheet: (rows, columns) of the views in one picture, None for files.

    Returns:
      The diagnosis.

    Raises:
      InputError: views without masks, or fewer than two views.
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
    """Best finding whose gain over the cameras as given is large enough; None if there is none."""
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
    """Agreement in a cube fitted to the hull, and the cube's similarity; None without a hull."""
    try:
        similarity = find_similarity(cameras, masks)
    except InputError:
        return None
    return consistency(images, masks, transform_cameras(cameras, similarity)), similarity


def _box(fit: Similarity, to_cube: Similarity) -> np.ndarray:
    """[2, 3] corners, in the object's cube, of the box that `fit` maps to the cube of side 1."""
    corners = np.array([[-0.5] * 3, [0.5] * 3])
    corners = (corners - np.asarray(fit.translation)) / fit.scale
    moved = to_cube.scale * corners @ np.asarray(to_cube.rotation).T + to_cube.translation
    return np.sort(moved, axis=0)


def _place(box: np.ndarray, lost: float) -> str:
    """Describes a problem with the object's position or size in the cube, or ''."""
    middle, side = box.mean(0), float(np.ptp(box, axis=0).max())
    advice = "similarity=({:.3g},{})".format(
        1.0 / side, ",".join(f"{-one / side:.3g}" for one in middle)
    )
    if lost > CUT_OFF:
        return f"the object reaches outside its cube, where nothing is sampled; {advice} fits it"
    if side < SMALL:
        return f"the object fills only {side:.2f} of its cube's side; {advice} fits it"
    return ""
