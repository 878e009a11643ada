"""Gives inputs as users have them to `train`, and compares the object with the true one.

    python -m experiments.faults.run --out=DIR [--only=NAME,NAME]

Writes DIR/results.csv: a row per case with what happened, the volume IoU of the mesh, the angle
between the object's up and the cube's, and what the command said. A case takes about half a minute
on two CPU cores.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import trimesh
from absl import flags

from experiments.faults.cases import CASES, MADE, REFUSED, Case
from jaxvsnerf.mesh.extract import extract_mesh
from jaxvsnerf.simulate.toy_object import toy_sdf
from jaxvsnerf.system import cli
from jaxvsnerf.system.paths import user_path

CONFIG = Path(__file__).with_name("small.py")
COLUMNS = ("case", "right", "outcome", "iou", "tilt_deg", "said")
RESOLUTION, HALF = 96, 0.55


def true_mesh(frame: np.ndarray) -> trimesh.Trimesh:
    """The toy's surface, moved by a [4, 4] matrix."""
    axis = np.linspace(-HALF, HALF, RESOLUTION, dtype=np.float32)
    points = jnp.stack(jnp.meshgrid(axis, axis, axis, indexing="ij"), -1)
    distance = np.asarray(toy_sdf(points.reshape(-1, 3))).reshape((RESOLUTION,) * 3)
    # Positive everywhere, as a density is: the surface is at 1.
    found = extract_mesh(1.0 - distance, half_extent=HALF, level=1.0, max_faces=None).mesh
    mesh = trimesh.Trimesh(found.vertices, found.faces, process=False)
    mesh.apply_transform(frame)
    return mesh


def run_case(name: str, case: Case, folder: Path) -> dict[str, str | float]:
    """Writes a case's files, trains on them, and returns its row."""
    files, workdir = folder / "files", folder / "run"
    files.mkdir(parents=True)
    given, frame = case.write(files), case.frame()
    true_mesh(frame).export(folder / "true.obj")
    command = [sys.executable, "-m", "jaxvsnerf.train", f"--config={CONFIG}"]
    given += [f"--workdir={workdir}", f"--config.data.mesh={folder / 'true.obj'}"]
    done = subprocess.run([*command, *given], capture_output=True, text=True)
    row: dict[str, str | float] = dict(case=name, right=case.right, iou="", tilt_deg="")
    row["outcome"] = MADE if done.returncode == 0 else f"{REFUSED} ({done.returncode})"
    if workdir.exists() and done.returncode:
        row["outcome"] = f"failed after the start ({done.returncode})"
    lines = [*done.stdout.splitlines()[:4], *done.stderr.splitlines()]
    row["said"] = " | ".join(line for line in lines if line.strip()).replace(str(folder), "DIR")
    geometry = workdir / "eval" / "geometry.json"
    if geometry.is_file():
        row["iou"] = round(json.loads(geometry.read_text())["iou"], 3)
        scene = json.loads((workdir / "scene.json").read_text())
        up = np.asarray(scene["to_cube"]["rotation"]) @ frame[:3, :3] @ [0, 0, 1]
        row["tilt_deg"] = round(float(np.rad2deg(np.arccos(up[2] / np.linalg.norm(up)))), 1)
    return row


def main() -> None:
    """The command."""
    out = flags.DEFINE_string("out", None, "The folder for files, runs and results.", required=True)
    only = flags.DEFINE_list("only", [], "Names of cases; all without the flag.")

    def command(_) -> None:
        folder = user_path(out.value)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "results.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            for name in only.value or CASES:
                row = run_case(name, CASES[name], folder / name)
                table.writerow(row)
                file.flush()
                cli.say(f"{name}: {row['outcome']}, IoU {row['iou']}, {row['said'][:200]}")

    cli.run(command)


if __name__ == "__main__":
    main()
