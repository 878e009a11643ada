"""Fingerprints of a run's pictures: a run goes on with the pictures that it began with alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from jaxvsnerf.types import Cameras, Dataset, ViewSet

# Name of a view -> the hashes of its picture and of its mask, None without a mask.
Prints = dict[str, dict[str, str | None]]
# Numbers of cameras that differ by more than this share of the larger number (and of 1) differ.
SAME_CAMERA = 1e-6
# Shrunk pictures have many values halfway between two of 256 levels, which another machine's
# rounding may put on either side. Rounding at this offset instead keeps clear of such values.
OFFSET = 0.4971
NAMED = 3  # most names in a message


def view_prints(views: ViewSet) -> Prints:
    """The prints of pictures and masks, by the views' names and in their order."""
    masks = [None] * len(views.images) if views.masks is None else views.masks
    return {
        name: {"picture": _sha256(image), "mask": None if mask is None else _sha256(mask)}
        for name, image, mask in zip(views.names, views.images, masks, strict=True)
    }


def dataset_prints(dataset: Dataset) -> dict[str, Prints]:
    """The prints of the input views (`views`), of the truth and of the photo, `{}` for none."""
    truth, photo = dataset.truth, dataset.photo
    return {
        "views": view_prints(dataset.inputs),
        "truth": view_prints(truth.replace(masks=None)) if truth is not None else {},
        "photo": view_prints(photo.view) if photo is not None else {},
    }


def _sha256(values: np.ndarray) -> str:
    """Hash of values in [0, 1], [height, width] or [height, width, C], as 8-bit numbers."""
    levels = np.floor(np.asarray(values, np.float64) * 255.0 + OFFSET).clip(0, 255)
    text = f"{levels.shape}".encode()
    return hashlib.sha256(text + levels.astype(np.uint8).tobytes()).hexdigest()


def picture_changes(kind: str, then: Prints, now: Prints, *, masks: bool = True) -> list[str]:
    """Says how pictures differ from those that a run began with; [] if none does.

    Args:
      kind: what the pictures are, such as `view`, for the words.
      then: prints of the run.
      now: prints of the pictures that the run would go on with.
      masks: whether masks count.
    """
    both = [name for name in then if name in now]
    changes = _said(kind, "gone", [name for name in then if name not in now])
    changes += _said(kind, "new", [name for name in now if name not in then])
    if not changes and list(then) != list(now):
        changes = [f"the {kind}s are in another order"]
    for part in ("picture", "mask")[: 1 + masks]:
        other = [name for name in both if then[name].get(part) != now[name].get(part)]
        changes += _said(kind, f"another {part}", other)
    return changes


def camera_changes(kind: str, then: Cameras, now: Cameras, names: Sequence[str]) -> list[str]:
    """Says which of V cameras differ from those that a run began with; [] if none does.

    Args:
      kind: what the cameras belong to, such as `view`, for the words.
      then: V cameras of the run.
      now: V cameras that the run would go on with.
      names: V names.
    """
    if (then.width, then.height) != (now.width, now.height):
        sizes = [f"{one.width}x{one.height}" for one in (then, now)]
        return [f"{kind}s of {sizes[1]} pixels, {sizes[0]} before"]
    other = np.zeros(len(names), bool)
    for field in ("intrinsics", "w2c"):
        old, new = (np.asarray(getattr(one, field), np.float64) for one in (then, now))
        scale = np.maximum(np.maximum(np.abs(old), np.abs(new)), 1.0)
        other |= (np.abs(old - new) > SAME_CAMERA * scale).any((1, 2))
    return _said(kind, "another camera", [names[view] for view in np.flatnonzero(other)])


def _said(kind: str, what: str, names: Sequence[str]) -> list[str]:
    """['view 003: another picture'], ['views 003, 004: gone'], [] without names."""
    if not names:
        return []
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"{kind}{'s' * (len(names) > 1)} {', '.join(names[:NAMED])}{more}: {what}"]
