"""Paired differences between preprocessed pictures and the same pictures without preprocessing.

python -m experiments.preprocess.table --results=a.csv,b.csv
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags

from experiments.inconsistency_bench.statistics import bootstrap
from experiments.preprocess.cases import CASES
from experiments.results_file import Row, read_rows
from jaxvsnerf.errors import InputError
from jaxvsnerf.system import cli

KEY = ("object", "case", "seed", "option")
SCORES = ("inputs_psnr", "inputs_ssim", "psnr", "ssim")
COLUMNS = (*KEY, *SCORES, "planted", "found", "changed", "seconds")
ORDER = ("none", "denoise", "harmonize", "outliers", "all")


def table(rows: Sequence[Row]) -> str:
    """Formats scores of each case and option, and differences to `none`, as Markdown.

    Scores are means over seeds. Differences are taken object by object; their 95 % intervals are
    from the bootstrap over objects.
    """
    head = [
        *("case", "option", "objects", "sets changed", "inputs PSNR", "PSNR", "SSIM"),
        *("inputs PSNR gained", "PSNR gained", "SSIM gained", "planted", "found", "false"),
    ]
    lines = [" | ".join(head), "|".join(["---"] * len(head))]
    for case in CASES:
        for option in ORDER:
            some = [row for row in rows if row["case"] == case and row["option"] == option]
            if some:
                plain = [row for row in rows if row["case"] == case and row["option"] == "none"]
                lines.append(" | ".join([case, option, *_cells(some, plain)]))
    return "\n".join(f"| {line} |" for line in lines)


def _cells(rows: Sequence[Row], plain: Sequence[Row]) -> list[str]:
    """Computes the numbers of one line."""
    sets = [(set(row["planted"].split()), set(row["found"].split())) for row in rows]
    hit, wrong = sum(len(p & f) for p, f in sets), sum(len(f - p) for p, f in sets)
    return [
        str(len({row["object"] for row in rows})),
        f"{sum(int(row['changed']) for row in rows)} of {len(rows)}",
        *(_mean(rows, score) for score in ("inputs_psnr", "psnr", "ssim")),
        *(_gained(rows, plain, score) for score in ("inputs_psnr", "psnr", "ssim")),
        str(sum(len(p) for p, _ in sets)),
        str(hit),
        str(wrong),
    ]


def _mean(rows: Sequence[Row], score: str) -> str:
    values = [float(row[score]) for row in rows if row[score]]
    return f"{np.mean(values):.{_digits(score)}f}" if values else ""


def _gained(rows: Sequence[Row], plain: Sequence[Row], score: str) -> str:
    before = {(row["object"], row["seed"]): row[score] for row in plain}
    gains: dict[str, list[float]] = {}
    for row in rows:
        old = before.get((row["object"], row["seed"]))
        if row["option"] != "none" and row[score] and old:
            gains.setdefault(row["object"], []).append(float(row[score]) - float(old))
    if not gains:
        return ""
    means = [float(np.mean(values)) for values in gains.values()]
    digits = _digits(score)
    mean, low, high = (f"{v:+.{digits}f}" for v in (np.mean(means), *bootstrap(means)))
    return f"{mean} [{low}, {high}]"


def _digits(score: str) -> int:
    return 4 if score.endswith("ssim") else 2


def main() -> None:
    """Runs the command.

    Raises:
      InputError: --results is missing.
    """
    results = flags.DEFINE_list("results", [], "Results files of the run.")

    def command(_) -> None:
        if not results.value:
            raise InputError("expected --results=FILE,...")
        rows = {}
        for name in results.value:
            found = read_rows(Path(name), COLUMNS)
            rows.update({tuple(row[key] for key in KEY): row for row in found})
        print(table(list(rows.values())))

    cli.run(command)


if __name__ == "__main__":
    main()
