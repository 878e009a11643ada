"""Scores a run's exported files against true pictures, beside the field's own renders.

python -m experiments.assets.run --workdir=DIR --out=FOLDER
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from experiments.assets import raycast
from jaxvsnerf.errors import InputError
from jaxvsnerf.mesh.bake import PaintFn, bake_texture
from jaxvsnerf.mesh.extract import Mesh
from jaxvsnerf.mesh.glb import write_glb
from jaxvsnerf.mesh.project import interpolate
from jaxvsnerf.metrics.psnr import psnr
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.run.asset import export_run
from jaxvsnerf.run.dataset import read_pictures
from jaxvsnerf.run.saved import load_stages
from jaxvsnerf.run.surface import field_mesh, head_on_colors
from jaxvsnerf.run.workdir import load_settings
from jaxvsnerf.system import cli
from jaxvsnerf.system.files import replacing
from jaxvsnerf.system.paths import user_path
from jaxvsnerf.types import ViewSet

COLUMNS = ("asset", "psnr", "minus_field", "faces", "bytes", "watertight", "seconds", "phases")
# Name -> options of the export; the first entry is the default of a run.
EXPORTS: dict[str, dict[str, Any]] = {
    "texture": {},
    "texture-512": {"texture": 512},
    "texture-2048": {"texture": 2048},
    "5000-faces": {"faces": 5000},
    "50000-faces": {"faces": 50000},
    "vertex-colours": {"format": "ply"},
    "vertex-colours-50000-faces": {"format": "ply", "faces": 50000},
}


def at_surface(field: TrainedField, mesh: Mesh) -> PaintFn:
    """Bakes the field's colour at each point of the surface, seen against the normal."""

    def paint(at):
        normals = interpolate(mesh.normals, mesh, at)
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        return field.query(interpolate(mesh.vertices, mesh, at), -normals)[1]

    return paint


def head_on(field: TrainedField, mesh: Mesh) -> PaintFn:
    """Bakes the colour composited along a short ray against the normal."""

    def paint(at):
        normals = interpolate(mesh.normals, mesh, at)
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        return head_on_colors(field, interpolate(mesh.vertices, mesh, at), normals)

    return paint


# Other ways to bake the default mesh and texture.
PAINTS: Mapping[str, Callable[[TrainedField, Mesh], PaintFn]] = {
    "texture-at-surface": at_surface,
    "texture-head-on": head_on,
}


def asset_psnr(path: Path, truth: ViewSet) -> float:
    """PSNR of a file's pictures, mean over the truth's views."""
    mesh = raycast.read_asset(path)
    pictures = [
        raycast.picture(mesh, truth.cameras, view, truth.background)
        for view in range(len(truth.images))
    ]
    return float(np.mean(psnr(np.stack(pictures), truth.images)))


def exported(workdir: Path, out: Path, field: TrainedField, options: dict) -> dict[str, Any]:
    """Exports into a separate folder.

    Args:
      workdir: folder of the run.
      out: folder of the export; created if missing.
      field: the trained field.
      options: see `export_run`.

    Returns:
      The content of eval/mesh.json.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "resolved.json", "scene.json"):
        if (workdir / name).is_file():  # runs of jaxvsnerf 0.1.0 have no resolved.json
            shutil.copyfile(workdir / name, out / name)
    export_run(out, field, say=print, **options)
    return json.loads((out / "eval" / "mesh.json").read_text())


def table(workdir: Path, out: Path) -> list[dict[str, Any]]:
    """Makes a row for the field's renders, every export and every other way to bake.

    Raises:
      InputError: the run has no truth pictures.
    """
    config = load_settings(workdir)
    truth = read_pictures(config).truth
    if truth is None:
        raise InputError(f"{workdir}: expected a run with truth pictures (data.truth), got none")
    field = list(load_stages(workdir, last_only=True).values())[-1]
    own = float(np.mean(psnr(field.render(truth.cameras).rgb, truth.images)))
    rows = [dict(asset="field", psnr=own)]
    exported(workdir, out / "compiled", field, {})  # seconds below are without compilation
    for name, options in EXPORTS.items():
        facts = exported(workdir, out / name, field, options)
        rows.append(
            dict(
                asset=name,
                psnr=asset_psnr(out / name / facts["file"], truth),
                seconds=round(sum(facts["seconds"].values()), 2),
                phases=" ".join(f"{k}={v:.2f}" for k, v in facts["seconds"].items()),
                **{key: facts[key] for key in ("faces", "bytes", "watertight")},
            )
        )
    settings = config.mesh
    mesh = field_mesh(field, settings.level, settings.resolution, settings.faces).mesh
    for name, paint in PAINTS.items():
        path = out / name / "mesh.glb"
        write_glb(path, bake_texture(mesh, paint(field, mesh), settings.texture))
        size = path.stat().st_size
        rows.append(
            dict(asset=name, psnr=asset_psnr(path, truth), faces=len(mesh.faces), bytes=size)
        )
    return [{**row, "minus_field": row["psnr"] - own} for row in rows]


def main() -> None:
    """Runs the command."""
    workdir = flags.DEFINE_string("workdir", "", "Folder of a run with truth pictures.")
    out = flags.DEFINE_string("out", "", "Folder for the files and results.csv.")

    def command(_) -> None:
        if not workdir.value or not out.value:
            raise InputError("expected --workdir=RUN and --out=FOLDER")
        rows = table(user_path(workdir.value), user_path(out.value))
        results = user_path(out.value) / "results.csv"
        with replacing(results) as path, path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            for row in rows:
                writer.writerow({k: f"{v:.3f}" if type(v) is float else v for k, v in row.items()})
        print(results.read_text())

    cli.run(command)


if __name__ == "__main__":
    main()
