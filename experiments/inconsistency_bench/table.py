"""Makes the tables and charts of one or more runs of the comparison.

python -m experiments.inconsistency_bench.table --results=DIR/results.csv,... --out=DIR
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from experiments.inconsistency_bench.cases import DAMAGES, INPUTS, REAL, Row
from experiments.inconsistency_bench.methods import METHODS
from experiments.inconsistency_bench.plot import interval_chart
from experiments.inconsistency_bench.statistics import (
    difference,
    in_order,
    merge,
    object_means,
    other_scores,
    select,
    table,
)
from jaxvsnerf.errors import InputError
from jaxvsnerf.system import cli
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.paths import user_path


def sections(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Returns all (severity, views) of the rows, in order."""
    order = (*DAMAGES, REAL)
    found = {(row["severity"], row["views"]) for row in rows}
    return sorted(found, key=lambda one: (-int(one[1]), order.index(one[0])))


def describe(rows: Sequence[Row]) -> str:
    """Describes the means of a section: objects and seeds."""
    objects, seeds = ({row[name] for row in rows} for name in ("object", "seed"))
    return f"{len(objects)} object(s), {len(seeds)} seed(s): {', '.join(sorted(objects))}."


def main() -> None:
    """Runs the command.

    Raises:
      InputError: a flag is missing.
    """
    results = flags.DEFINE_list("results", [], "Files of results to merge.")
    out = flags.DEFINE_string("out", "", "Folder for table.md and the charts.")
    reference = flags.DEFINE_string("reference", "plain", "Method to compare with.")

    def command(_) -> None:
        if not results.value or not out.value:
            raise InputError("expected --results=FILE,... and --out=DIR")
        rows = merge([user_path(name) for name in results.value])
        folder, parts = user_path(out.value), []
        for severity, views in sections(rows):
            chosen = select(rows, severity, views)
            text = table(chosen, reference.value, (INPUTS, *METHODS))
            if others := other_scores(chosen, (INPUTS, *METHODS)):
                text = f"{text}\n\n{others}"
            parts.append(f"### {severity}, {views} views\n\n{describe(chosen)}\n\n{text}\n")
            means = object_means(chosen, "psnr")
            pairs = [
                (method, difference(means[method], means[reference.value]))
                for method in in_order(means, tuple(METHODS))
                if method not in (reference.value, INPUTS) and reference.value in means
            ]
            if pairs := [(method, found) for method, found in pairs if found]:
                title = f"PSNR minus that of {reference.value}: {severity}, {views} views"
                chart = interval_chart(title, "dB, 95 % interval over objects", pairs)
                write_text(folder / f"{severity}-{views}.svg", chart)
        write_text(folder / "table.md", "\n".join(parts))
        cli.say("\n".join(parts))

    cli.run(command)


if __name__ == "__main__":
    main()
