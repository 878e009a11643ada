"""Decides per view where its mask comes from, and computes the masks of a set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxvsnerf.data.borders import THRESHOLD, border_is_background
from jaxvsnerf.data.cutouts import Seen
from jaxvsnerf.data.masks import mask_on_background
from jaxvsnerf.errors import InputError

NONE, ALPHA, BACKGROUND, FILE = "none", "alpha", "background", "file"


def choose_mask_sources(
    mode: str,
    seen: Sequence[Seen],
    background: np.ndarray,
    threshold: float | None,
    names: Sequence[str],
    need_masks: bool | None,
) -> tuple[str, ...]:
    """Resolves a mask mode into a source for every view.

    Args:
      mode: 'auto', 'alpha', 'background' or 'none'.
      seen: V judged pictures, on their backgrounds.
      background: [3] colour behind opaque pictures, or [V, 3].
      threshold: see `masks.mask_on_background`.
      names: V names for messages.
      need_masks: whether 'auto' is refused if no mask can be computed; None also accepts masks
        for some of the views, and then takes none.

    Returns:
      V sources: 'file' or 'alpha' for a view that is cut out, 'background' for a view whose
      border has the background's colour; 'none' for all views if no view is cut out and some
      view's border has not.

    Raises:
      InputError: some views are cut out and others have no mask; or `need_masks` and no masks.
    """
    if mode != "auto":
        return tuple(FILE if mode == ALPHA and one.mask_file else mode for one in seen)
    backgrounds = np.broadcast_to(background, (len(seen), 3))
    sources = tuple(
        _source(one, color, threshold) for one, color in zip(seen, backgrounds, strict=True)
    )
    without = [name for name, source in zip(names, sources, strict=True) if source == NONE]
    if not without:
        return sources
    cut_out = [name for name, one in zip(names, seen, strict=True) if one.alpha is not None]
    if cut_out and need_masks is not None:
        raise InputError(
            f"no mask for {some(without)}, whose {'border has' if len(without) == 1 else 'borders'}"
            f"{'' if len(without) == 1 else ' have'} several colours, while {some(cut_out)} "
            f"{'is' if len(cut_out) == 1 else 'are'} cut out: cut out every view, leave views out "
            "with data.views, or set data.mask (alpha takes each alpha channel as it is, none "
            "trains without masks)"
        )
    if need_masks:
        color = np.round(np.median(backgrounds, axis=0), 3).tolist()
        raise InputError(
            f"no mask can be made for {some(without)}: no alpha channel cuts the object out, and "
            f"less than half of the border has the background colour {color}; set "
            "data.background, give RGBA pictures, or take data.mask=none"
        )
    return (NONE,) * len(seen)


def _source(one: Seen, background: np.ndarray, threshold: float | None) -> str:
    if one.alpha is not None:
        return FILE if one.mask_file else ALPHA
    tolerance = threshold or THRESHOLD
    near = border_is_background(one.rgb, background, tolerance, one.hidden)
    return BACKGROUND if near else NONE


def some(names: Sequence[str], most: int = 3) -> str:
    """Names of views in words: 'view 001', 'views 001, 002 and 5 more'."""
    shown = ", ".join(names[:most])
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"view{'s' if len(names) > 1 else ''} {shown}{more}"


def object_masks(
    sources: Sequence[str],
    seen: Sequence[Seen],
    background: np.ndarray,
    names: Sequence[str],
    threshold: float | None = None,
) -> np.ndarray | None:
    """Computes the masks of V pictures of one size.

    Args:
      sources: V sources, see `choose_mask_sources`.
      seen: V judged pictures, on their backgrounds.
      background: [3] or [V, 3] in [0, 1].
      names: V names for messages.
      threshold: see `masks.mask_on_background`.

    Returns:
      [V, height, width] float32 in [0, 1], or None for 'none'.

    Raises:
      InputError: 'alpha' but a picture has no alpha channel; a view shows no object.
    """
    if NONE in sources:
        return None
    masks = np.empty((len(seen), *seen[0].rgb.shape[:2]), np.float32)
    backgrounds = np.broadcast_to(background, (len(seen), 3))
    for index, (source, one, name) in enumerate(zip(sources, seen, names, strict=True)):
        if source == BACKGROUND:
            masks[index] = mask_on_background(one.rgb, backgrounds[index], threshold, one.hidden)
        elif one.alpha is None:
            raise InputError(
                f"view {name} has no alpha channel, but masks were asked from alpha; give RGBA "
                "pictures or take data.mask=background or data.mask=none"
            )
        else:
            masks[index] = one.alpha
        if not (masks[index] > 0.5).any():
            raise InputError(
                f"view {name} shows no object: its mask from {source} is empty; leave the view "
                "out, or change data.background, data.mask or data.mask_threshold"
            )
    return masks
