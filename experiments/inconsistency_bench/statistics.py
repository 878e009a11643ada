"""Paired differences of methods, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.inconsistency_bench.cases import (
    FINDS,
    INPUTS,
    SCORES,
    SHAPE,
    Row,
    read_rows,
    row_key,
)
from jaxvsnerf.errors import InputError, MissingFile

RESAMPLES = 10_000
OTHERS = {
    FINDS: "finds damage (ROC AUC)",
    "chamfer": "Chamfer",
    "iou": "volume IoU",
    "normal_deg": "normals (degrees)",
}


class Difference(NamedTuple):
    """Difference between the scores of two methods on the same pictures.

    Attributes:
      mean: mean over objects of the mean over seeds.
      low: 2.5 % quantile of the bootstrap over objects.
      high: 97.5 % quantile of the bootstrap over objects.
      objects: number of objects.
      better: number of objects with a positive difference.
    """

    mean: float
    low: float
    high: float
    objects: int
    better: int


def merge(paths: Sequence[Path]) -> list[Row]:
    """Reads the rows of several results files, without duplicates.

    Raises:
      MissingFile: a file is missing.
      InputError: a method has two settings for the same number of views; one table cannot hold
        both.
    """
    rows: dict[tuple[str, ...], Row] = {}
    for path in paths:
        if not path.is_file():
            raise MissingFile(f"no results at {path}")
        rows.update({row_key(row): row for row in read_rows(path)})
    found: dict[tuple[str, str], str] = {}
    for row in rows.values():
        other = found.setdefault((row["method"], row["views"]), row["settings"])
        if other != row["settings"]:
            raise InputError(
                f"{row['method']}, {row['views']} views: expected one setting, got {other} and "
                f"{row['settings']}; leave out the results of older settings"
            )
    return list(rows.values())


def select(rows: Iterable[Row], severity: str, views: str) -> list[Row]:
    """Selects the rows of one severity and number of views.

    Args:
      rows: rows of results.
      severity: the severity.
      views: the number of views, as text.
    """
    return [row for row in rows if row["severity"] == severity and row["views"] == views]


def object_means(rows: Iterable[Row], score: str) -> dict[str, dict[str, float]]:
    """Returns method -> object -> mean of a score over the seeds; skips rows without the score.

    Raises:
      InputError: methods saw different seeds of an object.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        if row[score]:
            of_method = found.setdefault(row["method"], {})
            of_method.setdefault(row["object"], {})[row["seed"]] = float(row[score])
    seeds: dict[str, set[str]] = {}
    for method, objects in found.items():
        for name, scores in objects.items():
            if seeds.setdefault(name, set(scores)) != set(scores):
                raise InputError(
                    f"{name}: {method} has seeds {sorted(scores)}, another method "
                    f"{sorted(seeds[name])}; run the missing ones"
                )
    return {
        method: {name: float(np.mean(list(s.values()))) for name, s in objects.items()}
        for method, objects in found.items()
    }


def bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """Central 95 % of the bootstrap distribution of the mean."""
    values = np.asarray(values, np.float64)
    draws = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    return float(low), float(high)


def difference(one: dict[str, float], other: dict[str, float]) -> Difference | None:
    """Returns `one` minus `other` over their common objects; None without a common object."""
    both = sorted(set(one) & set(other))
    if not both:
        return None
    values = np.array([one[name] - other[name] for name in both])
    low, high = bootstrap(values)
    return Difference(float(values.mean()), low, high, len(both), int(np.sum(values > 0)))


def table(rows: Sequence[Row], reference: str, order: Sequence[str]) -> str:
    """Formats scores and paired differences of a severity as Markdown.

    Args:
      rows: rows of one severity and number of views.
      reference: the method to compare with.
      order: order of the methods; all others follow by name.
    """
    means = {score: object_means(rows, score) for score in SCORES}
    methods = in_order(means["psnr"], order)
    titles = {"psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS"}
    head = ["method", *titles.values(), *(f"{t} minus {reference}" for t in titles.values())]
    lines = [" | ".join(head), "|".join(["---"] * len(head))]
    for method in methods:
        cells = [method]
        for score in SCORES:
            values = means[score].get(method)
            cells.append(_number(score, np.mean(list(values.values()))) if values else "-")
        for score in SCORES:
            found = means[score]
            paired = method not in (reference, INPUTS) and {method, reference} <= set(found)
            cells.append(_interval(score, found, method, reference) if paired else "")
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


def other_scores(rows: Sequence[Row], order: Sequence[str]) -> str:
    """Formats means of the scores that only some rows have, as Markdown; '' if no row has any."""
    means = {score: object_means(rows, score) for score in (FINDS, *SHAPE)}
    known = [score for score in means if means[score]]
    if not known:
        return ""
    lines = [" | ".join(["method", *(OTHERS[score] for score in known)])]
    lines.append("|".join(["---"] * (1 + len(known))))
    for method in in_order({method for score in known for method in means[score]}, order):
        values = [means[score].get(method) for score in known]
        cells = [f"{np.mean(list(one.values())):.4f}" if one else "-" for one in values]
        lines.append(" | ".join([method, *cells]))
    return "\n".join(f"| {line} |" for line in lines)


def in_order(names: Iterable[str], order: Sequence[str]) -> list[str]:
    """Sorts names by `order`; all others follow by name."""
    return sorted(
        names, key=lambda name: (name not in order, name in order and order.index(name), name)
    )


def _number(score: str, value: float, sign: str = "") -> str:
    return f"{value:{sign}.{2 if score == 'psnr' else 4}f}"


def _interval(score: str, means: dict, method: str, reference: str) -> str:
    found = difference(means[method], means[reference])
    if found is None:
        return ""
    mean, low, high = (_number(score, value, "+") for value in found[:3])
    return f"{mean} [{low}, {high}]"
