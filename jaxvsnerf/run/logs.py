"""log.txt and metrics.jsonl of a run."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jaxvsnerf.errors import describe
from jaxvsnerf.system.files import naming, write_text
from jaxvsnerf.system.records import Wrong, amount, fields, number, one_of, whole

LOG = "log.txt"


@contextlib.contextmanager
def logged(folder: Path, say: Callable[..., None]) -> Iterator[Callable[..., None]]:
    """Yields a `say` that also appends plain lines with the time to the folder's log.txt.

    An error that ends the block is appended too, and raised. If the log cannot be written (a full
    disk), lines are only shown, because checkpoints matter more.

    Args:
      folder: folder of the run.
      say: takes the lines to show, as `cli.say` does.
    """
    with (folder / LOG).open("ab", buffering=0) as file:

        def add(text: str) -> None:
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            lines = "".join(f"{now} {line}\n" for line in text.splitlines())
            with contextlib.suppress(OSError):
                file.write(lines.encode())

        def both(line: str, **how: Any) -> None:
            add(line)
            say(line, **how)

        try:
            yield both
        except BaseException as error:
            add(f"{type(error).__name__}: {describe(error)}")
            raise


class MetricsLog:
    """The file metrics.jsonl: one line per report, in the order of stages and steps."""

    def __init__(self, folder: Path, stage_names: tuple[str, ...]):
        self.path = folder / "metrics.jsonl"
        self.stage_names = stage_names
        self._check = fields(
            {
                "stage": one_of(*stage_names),
                "step": whole(0),
                **{"loss": number, "psnr": number, "seconds": amount},
            }
        )

    def read(self) -> list[dict[str, Any]]:
        """Returns all whole lines; skips lines cut by a crash or otherwise damaged.

        Choice: not an error. The lines are points of the page's curves and nothing else, and a
        run must go on without them.
        """
        rows = []
        for line in self.path.read_bytes().splitlines() if self.path.exists() else ():
            # A line that is no text, no JSON, nested without end or no report.
            with contextlib.suppress(ValueError, RecursionError, Wrong):
                row = json.loads(line)
                self._check(row, "")
                rows.append(row)
        return rows

    def rewind(self, stage: str, step: int) -> None:
        """Drops all lines after `step` of `stage`, because a resumed run logs them again."""
        names = self.stage_names
        limit = (names.index(stage), step) if stage else (-1, 0)
        kept = [r for r in self.read() if (names.index(r["stage"]), r["step"]) <= limit]
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in kept))

    def append(self, row: dict[str, Any]) -> None:
        """Appends one line."""
        with naming(self.path), self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
