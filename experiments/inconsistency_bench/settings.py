"""Tuned settings of each method, found on objects that are not scored; kept in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.inconsistency_bench.cases import Row
from experiments.inconsistency_bench.methods import METHODS, Settings
from jaxvsnerf.errors import InputError
from jaxvsnerf.system.files import write_text

TUNED = Path(__file__).with_name("tuned.json")
# Chosen before any tuning, and never scored.
TUNING_OBJECTS = ("alarm", "hat", "shoe")
TUNING_SEED = 100


def best_settings(rows: Sequence[Row], views: int) -> dict[str, dict[str, Any]]:
    """Returns method -> settings with the best mean PSNR over the objects, for a number of views.

    Settings that were not tried on all objects do not count.
    """
    means: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["method"] in METHODS and row["views"] == str(views):
            found = means.setdefault(row["method"], {}).setdefault(row["settings"], [])
            found.append(float(row["psnr"]))
    best = {}
    for method, found in means.items():
        complete = max(len(scores) for scores in found.values())
        scores = {text: sum(s) / len(s) for text, s in found.items() if len(s) == complete}
        best[method] = json.loads(max(scores, key=scores.__getitem__))
    return best


def read_tuned(path: Path, views: int) -> dict[str, Settings]:
    """Reads the tuned settings for a number of views; {} if this number was not tuned.

    Raises:
      InputError: a method does not have these settings.
    """
    if not path.is_file():
        return {}
    tuned = json.loads(path.read_text()).get(str(views), {})
    for name, settings in tuned.items():
        if name in METHODS and set(settings) != set(METHODS[name].settings):
            raise InputError(f"{path}: {name} has other settings than {list(settings)}; tune again")
    return tuned


def write_tuned(path: Path, views: int, best: Mapping[str, Settings]) -> None:
    """Adds the best settings for a number of views to a file.

    Args:
      path: the file; created if missing.
      views: number of views.
      best: method -> settings.
    """
    known = json.loads(path.read_text()) if path.is_file() else {}
    known[str(views)] = best
    write_text(path, json.dumps(known, indent=2, sort_keys=True) + "\n")
