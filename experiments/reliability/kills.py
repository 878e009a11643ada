"""Kills runs, exports and studies at random moments; what goes on must end as if left alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.reliability import commands

# So many times one run is killed before it may end.
KILLS_A_RUN = 4
Row = dict[str, Any]


def whole_run(out: Path) -> tuple[Path, float]:
    """A smoke run that is left alone, and the seconds that it takes with programs compiled."""
    folder = out / "whole"
    facts = out / "whole.json"
    if not facts.is_file():
        for _ in range(2):  # the second run finds compiled programs
            shutil.rmtree(folder, ignore_errors=True)
            begin = time.monotonic()
            status, _, errors = commands.finish(commands.start(commands.train(folder)))
            if status:
                raise RuntimeError(f"the run that is left alone failed: {errors}")
        facts.write_text(json.dumps(time.monotonic() - begin))
    return folder, float(facts.read_text())


def verdict(folder: Path, whole: Path) -> tuple[str, str]:
    """Whether a run has ended as another one."""
    if found := commands.difference(commands.final_arrays(folder), commands.final_arrays(whole)):
        return "other", f"other numbers: {found}"
    scores = [(one / "eval" / "metrics.json").read_text() for one in (folder, whole)]
    if scores[0] != scores[1]:
        return "other", "other scores"
    for name in ("report.html", "mesh.glb", "renders/turntable.mp4"):
        if not (folder / name).is_file():
            return "lost", f"no {name}"
    if left := commands.leftovers(folder):
        return "leftovers", ", ".join(left)
    return "equal", ""


def killed_run(out: Path, case: int, seed: int) -> Row:
    """A run that is killed KILLS_A_RUN times at random moments and then ends."""
    whole, seconds = whole_run(out)
    folder, rng = out / f"killed_{case}", np.random.default_rng((seed, case, 1))
    shutil.rmtree(folder, ignore_errors=True)
    moments = rng.uniform(0.0, seconds, KILLS_A_RUN).round(2).tolist()
    killed = 0
    for moment in moments:
        killed += commands.kill_after(commands.start(commands.train(folder)), moment)
    status, _, errors = commands.finish(commands.start(commands.train(folder)))
    if status != 0:
        return _row("kills", case, "failed", f"{moments}: {errors[-300:]}", killed)
    outcome, said = verdict(folder, whole)
    if outcome == "equal":
        shutil.rmtree(folder)
    return _row("kills", case, outcome, f"{moments} {said}", killed)


def killed_export(out: Path, case: int, seed: int) -> Row:
    """`export` in a random format killed at a random moment, then run again."""
    whole, _ = whole_run(out)
    folder, rng = out / f"export_{case}", np.random.default_rng((seed, case, 2))
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    kind = ("glb", "obj", "ply")[int(rng.integers(3))]
    arguments = commands.command("export", f"--workdir={folder}", f"--format={kind}")
    moment = round(float(rng.uniform(0.0, 8.0)), 2)
    killed = commands.kill_after(commands.start(arguments), moment)
    status, _, errors = commands.finish(commands.start(arguments))
    left = commands.leftovers(folder)
    if status != 0:
        outcome, said = "failed", errors[-300:]
    elif left:
        outcome, said = "leftovers", ", ".join(left)
    else:
        outcome, said = "equal", ""
        shutil.rmtree(folder)
    return _row("exports", case, outcome, f"{kind} at {moment} s {said}", int(killed))


def killed_study(out: Path, case: int, seed: int) -> Row:
    """A study whose parent, or one of whose workers, is killed; the same command goes on."""
    from experiments.faults import inputs
    from jaxvsnerf.data.rigs import SYNCDREAMER

    folder, rng = out / f"study_{case}", np.random.default_rng((seed, case, 3))
    shutil.rmtree(folder, ignore_errors=True)
    pixels = inputs.row([one[:24, :24] for one in inputs.rig_views(SYNCDREAMER, 24)[0]])
    for name in ("a", "b", "c"):
        inputs.save(folder / "objects" / f"{name}.png", pixels)
    arguments = commands.command(
        "study", f"--objects={folder / 'objects'}", f"--out={folder / 'out'}",
        f"--config={commands.SMOKE}", "--config.data.rig=syncdreamer",
    )  # fmt: skip
    process, moment = commands.start(arguments), round(float(rng.uniform(1.0, 25.0)), 2)
    parent, killed = bool(rng.integers(2)), 0
    if parent:
        killed = int(commands.kill_after(process, moment))
        time.sleep(1.0)
        orphans = _alive(process.pid)
    else:
        time.sleep(moment)
        for worker in _workers(process.pid)[:1]:
            os.kill(worker, signal.SIGKILL)
            killed = 1
        commands.finish(process)
        orphans = []
    status, _, errors = commands.finish(commands.start(arguments))
    rows = (folder / "out" / "results.csv").read_text().splitlines()[1:] if status == 0 else []
    names = [row.split(",")[0] for row in rows]
    said = f"{'parent' if parent else 'worker'} at {moment} s"
    if orphans:
        return _row("studies", case, "orphans", f"{said}: {orphans}", killed)
    if status != 0:
        return _row("studies", case, "failed", f"{said}: {errors[-300:]}", killed)
    if sorted(names) != ["a", "b", "c"]:
        return _row("studies", case, "lost", f"{said}: objects {names}", killed)
    shutil.rmtree(folder)
    return _row("studies", case, "equal", said, killed)


def _workers(pid: int) -> list[int]:
    """The processes of a study that train."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        words = {int(one): Path(f"/proc/{one}/cmdline").read_text() for one in children}
    except OSError:
        return []
    return [one for one, text in words.items() if "spawn_main" in text]


def _alive(group: int) -> list[int]:
    """Processes of a killed study's group that go on."""

    def members() -> Iterator[int]:
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                yield int(status.parent.name)

    return list(members())


def _row(part: str, case: int, outcome: str, said: str, killed: int) -> Row:
    return dict(part=part, door=part, case=case, outcome=outcome, said=said, killed=killed)
