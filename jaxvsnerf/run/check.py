"""What a run asks of its pictures before training, and the file that keeps the answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.diagnose.doubts import doubts
from jaxvsnerf.diagnose.place import place_remarks
from jaxvsnerf.diagnose.silhouettes import silhouette_remarks
from jaxvsnerf.errors import InputError
from jaxvsnerf.preprocess.prepare import trained_views
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.records import items, read_record, text
from jaxvsnerf.types import Dataset

FILE = "remarks.json"
MEND = "delete the file: the page of the run then lacks the warnings about its pictures"


def picture_remarks(spec: DataSpec, dataset: Dataset) -> list[str]:
    """Looks at masks and cameras as `inspect` does, without trying corrections.

    A setting that the user gave explicitly stands: what the check would have refused then becomes
    a warning.

    Args:
      spec: the source of the pictures.
      dataset: the pictures, in the object's cube.

    Returns:
      The warnings, as lines to show.

    Raises:
      InputError: training would surely make a wrong object; the message says why and the mend.
    """
    remarks = silhouette_remarks(dataset.inputs)
    if spec.mask != "auto":
        remarks = [one._replace(stop=False) for one in remarks]
    # Masks that cannot be silhouettes say nothing about the object's place.
    if not any(one.stop for one in remarks):
        place = place_remarks(trained_views(dataset), dataset.to_cube)
        remarks += [one._replace(stop=one.stop and not spec.similarity) for one in place]
    remarks += doubts(trained_views(dataset))
    if wrong := [one.text for one in remarks if one.stop]:
        raise InputError("; ".join(wrong))
    return [f"warning: {one.text}" for one in remarks]


def keep_remarks(folder: Path, lines: Sequence[str]) -> None:
    """Writes remarks.json: how the source was read, and the warnings, as lines for the page."""
    write_text(folder / FILE, json.dumps(list(lines)) + "\n")


def kept_remarks(folder: Path) -> list[str]:
    """Reads remarks.json of a run; nothing from a run without the file.

    Raises:
      DamagedFile: the file does not hold a list of lines.
    """
    path = folder / FILE
    return read_record(path, items(text), MEND) if path.is_file() else []
