"""Compares methods on contradicting pictures.

    python -m experiments.inconsistency_bench.run --objects=FOLDER,... --out=DIR \
        [--tune | --variants] [--methods=...] [--severities=medium] [--views=16] [--seeds=0,1,2]

Runs every method on every case (object, severity, number of views, seed). Writes DIR/results.csv
after every few rows; the same command continues after an interruption. With --tune all candidate
settings run on the tuning objects instead, and DIR/tuned.json records the best settings. With
--variants all variants of `ours` run on the tuning objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from absl import flags

from experiments.inconsistency_bench.cases import (
    DAMAGES,
    REAL,
    Case,
    load_case,
    read_rows,
    row_key,
    write_rows,
)
from experiments.inconsistency_bench.methods import METHODS, Settings
from experiments.inconsistency_bench.outside import outside_methods, write_case
from experiments.inconsistency_bench.pool import work_through
from experiments.inconsistency_bench.settings import (
    TUNED,
    TUNING_OBJECTS,
    TUNING_SEED,
    best_settings,
    read_tuned,
    write_tuned,
)
from experiments.inconsistency_bench.variants import KNOWN, SEEDS, VARIANTS
from jaxvsnerf.errors import InputError
from jaxvsnerf.run.workdir import locked
from jaxvsnerf.study.objects import StudyObject, find_objects
from jaxvsnerf.system import cli
from jaxvsnerf.system.paths import find_path, user_path

LPIPS = "lpips/alex_v0.1.npz"


def plan_methods(names: Sequence[str], tuned: Mapping[str, Settings]) -> dict[str, list[Settings]]:
    """Returns each method with its tuned settings, or else its settings before tuning.

    Raises:
      InputError: a method is unknown.
    """
    _known("--methods", names, KNOWN)
    return {name: [tuned.get(name, KNOWN[name].settings)] for name in names}


def make_cases(
    items: Sequence[StudyObject], severities: Sequence[str], views: int, seeds: Sequence[int]
) -> list[Case]:
    """Makes a case for every object, severity and seed; `real` only for objects with own pictures.

    Args:
      items: the objects.
      severities: names of `DAMAGES`, or `real`.
      views: number of views.
      seeds: seeds of damage and training.

    Raises:
      InputError: a severity is unknown.
    """
    _known("--severities", severities, (*DAMAGES, REAL))
    return [
        Case(item, severity, views, seed)
        for severity in severities
        for seed in seeds
        for item in items
        if severity != REAL or item.inputs == "given"
    ]


def choose_objects(folders: Sequence[str], names: Sequence[str], tune: bool) -> list[StudyObject]:
    """Chooses the tuning objects, or all other objects.

    Args:
      folders: folders of objects.
      names: names to choose; [] chooses all.
      tune: whether to choose tuning objects.

    Raises:
      InputError: a named object does not exist, or a tuning object is named for scoring.
    """
    found = {item.name: item for item in find_objects([find_path(name) for name in folders])[0]}
    allowed = [n for n in found if (n in TUNING_OBJECTS) == tune]
    if tune and len(allowed) < len(TUNING_OBJECTS):
        raise InputError(f"--tune: expected the objects {', '.join(TUNING_OBJECTS)} in --objects")
    _known("--names", names, allowed)
    return [found[name] for name in allowed if not names or name in names]


def _numbers(seeds: Sequence[str]) -> list[int]:
    if wrong := [seed for seed in seeds if not seed.isdecimal()]:
        raise InputError(f"--seeds: expected whole numbers of at least 0, got {wrong[0]!r}")
    return [int(seed) for seed in seeds]


def _known(flag: str, given: Sequence[str], allowed: Sequence[str]) -> None:
    if unknown := [name for name in given if name not in allowed]:
        raise InputError(f"{flag}: expected some of {', '.join(allowed)}, got {', '.join(unknown)}")


def main() -> None:
    """Runs the command.

    Raises:
      InputError: a flag is missing or has an unknown value, or two flags exclude each other.
    """
    out = flags.DEFINE_string("out", "", "Folder of the results.")
    folders = flags.DEFINE_list("objects", [], "Folders of objects with truth.")
    names = flags.DEFINE_list("names", [], "Which of the objects; all if none is named.")
    methods = flags.DEFINE_list("methods", [], "Which methods or variants; all if none is named.")
    severities = flags.DEFINE_list(
        "severities", ["medium"], f"Some of {', '.join((*DAMAGES, REAL))}."
    )
    views = flags.DEFINE_integer("views", 16, "Input views, evenly spaced.")
    seeds = flags.DEFINE_list("seeds", ["0", "1", "2"], "Of the damage and of training.")
    tune = flags.DEFINE_bool("tune", False, "Try all candidate settings on the tuning objects.")
    variants = flags.DEFINE_bool("variants", False, "Try all variants on the tuning objects.")
    settings = flags.DEFINE_string("settings", str(TUNED), "File of tuned settings.")
    lpips = flags.DEFINE_string("lpips", LPIPS, "File of LPIPS weights, '' for none.")
    renders = flags.DEFINE_string("renders", "", "Folder of an outside program's pictures.")
    export = flags.DEFINE_bool("export", False, "Write the cases for outside programs instead.")
    shape = flags.DEFINE_bool("shape", False, "Score surfaces where the object has its mesh.")
    parallel = flags.DEFINE_integer("parallel", 1, "Processes on each GPU.", lower_bound=1)

    def command(_) -> None:
        if not out.value or not folders.value:
            raise InputError("expected --objects=FOLDER,... and --out=DIR")
        if tune.value and variants.value:
            raise InputError("--tune and --variants: expected one of them")
        items = choose_objects(folders.value, names.value, tune.value or variants.value)
        numbers = _numbers(seeds.value)
        if tune.value or variants.value:
            numbers = [TUNING_SEED] if tune.value else SEEDS
        chosen = methods.value or (["ours", *VARIANTS] if variants.value else [*METHODS])
        cases = make_cases(items, severities.value, views.value, numbers)
        folder = user_path(out.value)
        folder.mkdir(parents=True, exist_ok=True)
        if export.value:
            for case in cases:
                cli.say(str(write_case(folder, case, *load_case(case))))
            return
        tuned = read_tuned(user_path(settings.value), views.value)
        outside = list(outside_methods(renders.value))
        plan = plan_methods([n for n in chosen if n not in outside], tuned)
        if tune.value:
            _known("--tune --methods", list(plan), METHODS)
            plan = {name: METHODS[name].candidates() for name in plan}
        plan.update({name: [{}] for name in outside if name in chosen})
        with locked(folder):
            path = folder / "results.csv"
            rows = {row_key(row): row for row in read_rows(path)}
            done = set(rows)
            asked = lpips.value, renders.value, parallel.value, shape.value
            for some in work_through(cases, plan, done, *asked):
                rows.update((row_key(row), row) for row in some)
                write_rows(path, rows.values())
                for row in some:
                    cli.say(f"{len(rows)} rows; {row['object']}, {row['method']}: {row['psnr']} dB")
            if tune.value:
                write_tuned(
                    folder / "tuned.json",
                    views.value,
                    best_settings(list(rows.values()), views.value),
                )

    cli.run(command)


if __name__ == "__main__":
    main()
