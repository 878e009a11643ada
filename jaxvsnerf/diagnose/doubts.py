"""Findings that doubt a whole set of pictures: too dark, or too many views that agree with none."""

from __future__ import annotations

import numpy as np

from jaxvsnerf.diagnose.remarks import Remark
from jaxvsnerf.types import ViewSet

# Brightest value of an object, but for the brightest thousandth of its pixels, that counts as dark.
DARK = 0.08
# Share of views left out from which the set is doubted, not the views.
MANY = 0.25


def doubts(views: ViewSet) -> list[Remark]:
    """Findings about a set of views as a whole.

    Args:
      views: V views as they are trained on; `weights` is 0 for views that are left out.
    """
    return [one for one in (_dark(views), _many_left_out(views)) if one]


def _dark(views: ViewSet) -> Remark | None:
    if views.masks is None:
        return None
    inside = np.asarray(views.images)[np.asarray(views.masks) > 0.5]
    if not len(inside):
        return None
    brightest = float(np.quantile(inside.max(-1), 0.999))
    if brightest >= DARK:
        return None
    text = (
        f"the object is nearly black in all views, its brightest value is {brightest:.1%} of "
        "white: files of 16 bits may hold 10 or 12 bits; write them with values up to 65535"
    )
    return Remark("A nearly black object", text, stop=False)


def _many_left_out(views: ViewSet) -> Remark | None:
    if views.weights is None:
        return None
    left = np.asarray(views.weights) == 0
    if left.mean() < MANY:
        return None
    names = ", ".join(name for name, out in zip(views.names, left, strict=True) if out)
    text = (
        f"{left.sum()} of {len(left)} views agree with no other and are left out ({names}): rather "
        "than these views, the order of the pictures, the rig or the poses may be wrong; python -m "
        "jaxvsnerf.inspect looks for the mistake"
    )
    return Remark("Many views are left out", text, stop=False)
