"""Hands cases to worker processes, and ends a process that takes too long."""

from __future__ import annotations

import json
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# A case is a hang after so many seconds. The first case of a door makes its files and compiles.
LIMIT, FIRST_LIMIT = 10.0, 300.0

Case = dict[str, Any]


class Worker:
    """A process of `worker.py`."""

    def __init__(self, run: Path) -> None:
        self.run, self.process, self.known = run, None, set()

    def ask(self, case: Case) -> Case:
        """The answer to a case; a process that hangs or ends is started again for the next."""
        if self.process is None:
            self.scratch = tempfile.mkdtemp(prefix="reliability_")
            program = [sys.executable, "-m", "experiments.reliability.worker"]
            self.process = subprocess.Popen(
                [*program, str(self.run), self.scratch],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                bufsize=1,
            )
            self.known = set()
        limit = LIMIT if case["door"] in self.known else FIRST_LIMIT
        self.known.add(case["door"])
        self.process.stdin.write(json.dumps(case) + "\n")
        ready, _, _ = select.select([self.process.stdout], [], [], limit)
        line = self.process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        outcome = "hang" if not ready else "ended"
        status = self.process.poll()
        self.end()
        return {**case, "outcome": outcome, "damage": "", "said": f"status {status}"}

    def end(self) -> None:
        """Ends the process and removes its files."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.process = None


def answers(
    cases: Iterable[Case], run: Path, workers: int, keep: Callable[[Case], None]
) -> Iterator[Case]:
    """Answers to cases, each kept as soon as it is known.

    Args:
      cases: the cases.
      run: folder of a finished run.
      workers: number of processes.
      keep: takes each answer.
    """
    waiting = list(cases)[::-1]

    def work(_: int) -> list[Case]:
        worker, found = Worker(run), []
        try:
            while waiting:
                found.append(worker.ask(waiting.pop()))
                keep(found[-1])
        finally:
            worker.end()
        return found

    with ThreadPoolExecutor(workers) as pool:
        for found in pool.map(work, range(workers)):
            yield from found
