"""Damages inputs, kills processes, flips bits and fills disks, and counts what held.

    python -m experiments.reliability.run --out=DIR [--only=inputs,kills] [--inputs=10000]

A second start goes on where the first one ended. DIR/cases.jsonl has a line per case, DIR/table.csv
what became of them. The exit status is 1 if anything failed.
"""

from __future__ import annotations

import csv
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from absl import flags

from experiments.reliability import bits, kills, pool, surroundings
from experiments.reliability.doors import doors
from jaxvsnerf.errors import InputError
from jaxvsnerf.system import cli
from jaxvsnerf.system.paths import user_path

# What may become of a case. Any other outcome is a failure.
HELD = ("read", "refused", "equal", "same", "noticed", "held")
# Memory that reading one damaged input may take, in MB.
MOST_MB = 2000
PARTS = ("inputs", "bits", "kills", "exports", "studies", "disks", "surroundings")
Row = dict[str, Any]
Job = Callable[[], Row]


class Book:
    """The lines of cases.jsonl; safe for threads."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, threading.Lock()
        lines = path.read_text().splitlines() if path.is_file() else []
        self.rows = [json.loads(line) for line in lines if line.endswith("}")]

    def has(self, part: str, door: str, case: int) -> bool:
        """Whether a case is done."""
        return any((r["part"], r["door"], r["case"]) == (part, door, case) for r in self.rows)

    def keep(self, row: Row) -> None:
        """Adds a case."""
        with self.lock, self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
            self.rows.append(row)


def input_cases(names: Iterable[str], shares: dict[str, int], count: int, seed: int) -> list[Row]:
    """Cases of all doors, about `count` of them."""
    total = sum(shares.values())
    return [
        dict(part="inputs", door=name, case=case, seed=seed)
        for name in names
        for case in range(-(-count * shares[name] // total))
    ]


def jobs_of(part: str, out: Path, count: int, seed: int) -> list[tuple[tuple[str, int], Job]]:
    """((door, case), job) of one part other than the inputs."""
    if part == "surroundings":
        names = surroundings.SURROUNDINGS
        return [((name, 0), partial(surroundings.hostile, out, name)) for name in names]
    run = kills.whole_run(out)[0]
    make = {
        "bits": lambda case: partial(bits.flipped_bit, out, run, case, seed),
        "kills": lambda case: partial(kills.killed_run, out, case, seed),
        "exports": lambda case: partial(kills.killed_export, out, case, seed),
        "studies": lambda case: partial(kills.killed_study, out, case, seed),
        "disks": lambda case: partial(surroundings.full_disk, out, case, seed),
    }[part]
    return [((part, case), make(case)) for case in range(count)]


def failed(row: Row) -> bool:
    """Whether a case failed."""
    return row["outcome"] not in HELD or row.get("grown_mb", 0) > MOST_MB


def table(rows: list[Row]) -> list[Row]:
    """A line per part and door: how many cases, what became of them, how many failed."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["part"], row["door"]), []).append(row)
    lines = []
    for (part, door), members in sorted(groups.items()):
        outcomes = Counter(row["outcome"] for row in members)
        lines.append(
            dict(
                part=part,
                door=door,
                cases=len(members),
                kills=sum(row.get("killed", 0) for row in members),
                outcomes=", ".join(f"{n} {name}" for name, n in sorted(outcomes.items())),
                longest_s=max(row.get("seconds", 0.0) for row in members),
                most_mb=max(row.get("grown_mb", 0) for row in members),
                failed=sum(map(failed, members)),
            )
        )
    return lines


def run_part(part: str, book: Book, out: Path, count: int, seed: int, workers: int) -> None:
    """Runs the cases of one part that are not done."""
    if part == "inputs":
        run = kills.whole_run(out)[0]
        shares = {name: door.times for name, door in doors(run).items()}
        cases = input_cases(shares, shares, count, seed)
        left = [one for one in cases if not book.has("inputs", one["door"], one["case"])]
        for _ in pool.answers(left, run, workers, book.keep):
            pass
        return
    jobs = jobs_of(part, out, count, seed)
    left = [job for (door, case), job in jobs if not book.has(part, door, case)]
    # Flipped bits are loaded in this process, one after the other.
    together = 1 if part in ("bits", "surroundings") else workers
    with ThreadPoolExecutor(together) as threads:
        for row in threads.map(lambda job: job(), left):
            book.keep(row)


def main() -> None:
    """The command."""
    out = flags.DEFINE_string("out", None, "The folder for cases and results.", required=True)
    only = flags.DEFINE_list("only", list(PARTS), f"Some of {', '.join(PARTS)}.")
    seed = flags.DEFINE_integer("seed", 0, "The seed of all damages and moments.")
    workers = flags.DEFINE_integer("workers", 2, "Processes at once.", lower_bound=1)
    counts = {
        "inputs": flags.DEFINE_integer("inputs", 10_000, "Damaged inputs."),
        "bits": flags.DEFINE_integer("bits", 500, "Flipped bits."),
        "kills": flags.DEFINE_integer("kills", 25, "Runs, each killed four times."),
        "exports": flags.DEFINE_integer("exports", 20, "Killed exports."),
        "studies": flags.DEFINE_integer("studies", 20, "Studies with a killed process."),
        "disks": flags.DEFINE_integer("disks", 20, "Full disks."),
    }

    def command(_) -> None:
        if unknown := set(only.value) - set(PARTS):
            raise InputError(f"--only: expected some of {', '.join(PARTS)}, got {sorted(unknown)}")
        folder = user_path(out.value).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "programs"))
        book = Book(folder / "cases.jsonl")
        for part in (one for one in PARTS if one in only.value):
            count = counts[part].value if part in counts else 1
            run_part(part, book, folder, count, seed.value, workers.value)
        lines = table(book.rows)
        with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
        for line in lines:
            cli.say(" ".join(f"{key}={value}" for key, value in line.items()))
        if bad := [row for row in book.rows if failed(row)]:
            raise InputError(f"{len(bad)} cases failed, see {folder / 'cases.jsonl'}")

    cli.run(command)


if __name__ == "__main__":
    main()
