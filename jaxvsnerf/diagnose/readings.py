"""Decides between several readings of one source by the agreement of the views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxvsnerf.data.similarity import find_similarity
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import transform_cameras
from jaxvsnerf.metrics.consistency import consistency, reduced
from jaxvsnerf.types import ViewSet

# Gain in agreement over the usual reading from which another reading is believed: the margin of
# corrections (`mistakes.MARGIN`), below which right sets stay.
MARGIN = 0.05
Agreement = Callable[[ViewSet], float | None]


class Reading(NamedTuple):
    """One way to read a source.

    Attributes:
      name: what the source is taken for, such as 'pictures as stored'.
      setting: the setting that chooses this reading, such as 'data.exif=stored'.
      load: loads the views, cameras in the source's frame.
    """

    name: str
    setting: str
    load: Callable[[], ViewSet]


class Choice(NamedTuple):
    """The reading that is taken.

    Attributes:
      index: place of the reading among the given ones.
      gain: agreement of the reading minus the best of the others; 0 if nothing could be compared.
      text: a sentence: which reading was taken, by how much the views agree better, and which
        setting chooses another.
    """

    index: int
    gain: float
    text: str


def view_agreement(views: ViewSet) -> float | None:
    """`Consistency.score` in a cube fitted to the hull; None without masks or with one view."""
    if views.masks is None or len(views.masks) < 2:
        return None
    images, masks, cameras = reduced(views.images, views.masks, views.cameras)
    try:
        similarity = find_similarity(cameras, masks)
    except InputError:
        return 0.0  # the masks share no volume
    return consistency(images, masks, transform_cameras(cameras, similarity)).score


def choose_reading(readings: Sequence[Reading], agreement: Agreement = view_agreement) -> Choice:
    """Chooses the reading whose views agree best; the first, usual one unless another is better.

    Agreement does not see a rotation of the whole world: readings that differ by such a rotation
    need another measure, such as the overlap of the photo's outline.

    Args:
      readings: the readings, the usual one first.
      agreement: measures how well views agree, 0 to 1; None says that views tell nothing.

    Returns:
      The choice. A reading that cannot be loaded is not chosen, unless no reading can be loaded.

    Raises:
      InputError, MissingFile: the error of the usual reading, if no reading can be loaded.
    """
    scores: list[float | None] = []
    errors: list[InputError] = []
    for reading in readings:
        try:
            scores.append(agreement(reading.load()))
        except InputError as error:
            scores.append(-1.0)
            errors.append(error)
    if len(errors) == len(readings):
        raise errors[0]
    known = [-1.0 if score is None else score for score in scores]
    best = max(range(len(readings)), key=known.__getitem__)
    usual = scores[0]
    if None in scores or known[best] < known[0] + MARGIN:
        best = 0
    others = [index for index in range(len(readings)) if index != best]
    rival = max(others, key=known.__getitem__)
    gain = 0.0 if usual is None or scores[rival] is None else known[best] - known[rival]
    return Choice(best, gain, _sentence(readings, scores, best, rival))


def _sentence(
    readings: Sequence[Reading], scores: Sequence[float | None], best: int, rival: int
) -> str:
    """Words for a choice."""
    taken, other = readings[best], readings[rival]
    if scores[rival] == -1.0:
        return f"read as {taken.name}; {other.name} cannot be read"
    if scores[best] is None or scores[rival] is None:
        why = "nothing in the pictures tells"
    elif abs(scores[best] - scores[rival]) < MARGIN:
        why = f"the views agree about as well either way ({scores[best]:.2f}, {scores[rival]:.2f})"
    else:
        why = f"the views agree to {scores[best]:.2f}, otherwise to {scores[rival]:.2f}"
    return f"read as {taken.name}: {why}; --config.{other.setting} reads {other.name}"
