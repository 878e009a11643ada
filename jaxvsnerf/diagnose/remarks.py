"""A remark on the pictures of a run, made before training."""

from __future__ import annotations

from typing import NamedTuple


class Remark(NamedTuple):
    """What a check of pictures, masks and cameras found.

    Attributes:
      heading: the kind of the finding in a few words.
      text: what was seen, the names of the views, and the mend.
      stop: whether training would surely make a wrong object.
    """

    heading: str
    text: str
    stop: bool
