"""Exports a run's final field as a mesh.

    python -m jaxvsnerf.export --workdir=DIR [--frame=source] [--level=10] [--resolution=256]

Writes DIR/mesh.glb, in the object's cube or in the frame that the poses came in, and
DIR/eval/geometry.json where data.mesh names the true geometry.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from absl import flags

from jaxvsnerf import assemble, cli
from jaxvsnerf.config import load_config
from jaxvsnerf.data.load import load_dataset
from jaxvsnerf.extras import check_extras
from jaxvsnerf.files import write_text
from jaxvsnerf.geometry.cameras import HALF_EXTENT, inverse_similarity, transform_points
from jaxvsnerf.metrics.geometry import score_geometry
from jaxvsnerf.outputs.glb import write_glb
from jaxvsnerf.outputs.lattice import sample_density
from jaxvsnerf.outputs.mesh import Mesh, extract_mesh
from jaxvsnerf.scene_file import load_scene
from jaxvsnerf.trained import TrainedField
from jaxvsnerf.types import Dataset, Similarity, Surface
from jaxvsnerf.workdir import locked, open_run


def field_mesh(field: TrainedField, level: float, resolution: int) -> Mesh:
    """Marching cubes of the density, coloured as seen from outside.

    Args:
      field: the field.
      level: density of the surface, 0 to find it.
      resolution: lattice points a side.

    Returns:
      The mesh, in the object's cube.

    Raises:
      ValueError: no surface at the level asked for; says which would give one.
    """
    occupied = None
    if field.grid is not None:
        occupied = _occupied(np.asarray(field.grid.support), resolution)
    density = sample_density(
        lambda points: field.query(points)[0],
        resolution,
        half_extent=HALF_EXTENT,
        occupied=occupied,
    )
    return extract_mesh(
        density,
        lambda vertices, normals: field.query(vertices, -normals)[1],
        half_extent=HALF_EXTENT,
        level=level or "auto",
    )


def export_run(
    folder: Path,
    field: TrainedField,
    *,
    frame: str = "cube",
    level: float | None = None,
    resolution: int | None = None,
    say: Callable[[str], None] = cli.say,
) -> Mesh:
    """Writes mesh.glb, see `field_mesh`.

    Args:
      folder: the run.
      field: the field.
      frame: `cube`, or `source` for the frame that the poses came in.
      level: density of the surface, 0 to find it; None is the run's setting.
      resolution: lattice points a side; None is the run's setting.
      say: takes the lines to show.

    Returns:
      The mesh in the object's cube, whatever `frame`.

    Raises:
      ValueError: no surface at the level asked for; says which would give one.
    """
    settings = load_config(folder / "config.json").mesh
    level = settings.level if level is None else level
    mesh = field_mesh(field, level, resolution or settings.resolution)
    source = frame == "source" and inverse_similarity(load_scene(folder)[2])
    write_glb(folder / "mesh.glb", _moved(mesh, source) if source else mesh)
    say(
        f"mesh: {len(mesh.vertices)} vertices, {len(mesh.faces)} faces at density "
        f"{mesh.level:.3g}: {folder / 'mesh.glb'}"
    )
    return mesh


def score_surface(
    folder: Path, mesh: Mesh, truth: Surface, dataset: Dataset, say: Callable[[str], None] = cli.say
) -> None:
    """Writes eval/geometry.json: Chamfer distance and volume IoU against the true geometry.

    Args:
      folder: the run.
      mesh: in the object's cube.
      truth: the true surface, in the cube.
      dataset: its truth's cameras, or the inputs', see what is compared.
      say: takes the line to show.
    """
    cameras = (dataset.truth or dataset.inputs).cameras
    scores = score_geometry(Surface(mesh.vertices, mesh.faces), truth, cameras)
    write_text(folder / "eval" / "geometry.json", json.dumps(scores, indent=2) + "\n")
    say("geometry: Chamfer distance {chamfer:.4f}, volume IoU {iou:.4f}".format(**scores))


def _occupied(support: np.ndarray, resolution: int) -> np.ndarray:
    """[resolution] * 3 bool, the lattice points that lie in the support [G, G, G]."""
    # Of the cube's G cells a side; its last point lies on the border.
    cells = np.linspace(0, len(support), resolution).astype(int).clip(max=len(support) - 1)
    return support[np.ix_(cells, cells, cells)]


def _moved(mesh: Mesh, similarity: Similarity) -> Mesh:
    """The mesh in the frame that `similarity` maps to."""
    turn = np.asarray(similarity.rotation, np.float32)
    vertices = np.asarray(transform_points(jnp.asarray(mesh.vertices), similarity))
    return mesh._replace(vertices=vertices, normals=mesh.normals @ turn.T)


def main() -> None:
    """The command."""
    workdir = cli.define_workdir()
    frame = flags.DEFINE_enum("frame", "cube", ["cube", "source"], "Frame of the mesh.")
    level = flags.DEFINE_float("level", None, "Density of the surface, 0 finds it.", 0.0)
    resolution = flags.DEFINE_integer("resolution", None, "Lattice points a side.", 2)

    def command(_) -> None:
        check_extras()
        folder = open_run(workdir.value)
        with locked(folder):
            config = load_config(folder / "config.json")
            dataset = truth = None
            if config.data.mesh:
                dataset = load_dataset(assemble.data_spec(config))
                truth = assemble.load_true_surface(config, dataset)
            field = list(assemble.load_stages(folder, last_only=True).values())[-1]
            mesh = export_run(
                folder, field, frame=frame.value, level=level.value, resolution=resolution.value
            )
            if truth is not None:
                score_surface(folder, mesh, truth, dataset)

    cli.run(command)


if __name__ == "__main__":
    main()
