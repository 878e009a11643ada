"""Exports a run's final field as a mesh.

    python -m jaxvsnerf.export --workdir=DIR

Writes DIR/mesh.glb.
"""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxvsnerf import assemble, cli
from jaxvsnerf.config import load_config
from jaxvsnerf.geometry.cameras import HALF_EXTENT
from jaxvsnerf.outputs.extras import check_extras
from jaxvsnerf.outputs.glb import write_glb
from jaxvsnerf.outputs.lattice import mesh_points, sample_density
from jaxvsnerf.outputs.mesh import extract_mesh
from jaxvsnerf.rendering.grid import lookup
from jaxvsnerf.trained import TrainedField
from jaxvsnerf.workdir import locked, open_run


def export_run(folder: Path, field: TrainedField) -> None:
    """Writes mesh.glb: marching cubes of the density, coloured as seen from outside.

    Raises:
      ValueError: no surface at the level asked for; says which would give one.
    """
    settings = load_config(folder / "config.json").mesh
    occupied = None
    if field.grid is not None:
        points = jnp.asarray(mesh_points(settings.resolution, HALF_EXTENT))
        occupied = np.asarray(lookup(field.grid, field.grid.support, points))
    density = sample_density(
        lambda points: field.query(points)[0],
        settings.resolution,
        half_extent=HALF_EXTENT,
        occupied=occupied,
    )
    mesh = extract_mesh(
        density,
        lambda vertices, normals: field.query(vertices, -normals)[1],
        half_extent=HALF_EXTENT,
        level=settings.level or "auto",
    )
    write_glb(folder / "mesh.glb", mesh)
    print(
        f"mesh: {len(mesh.vertices)} vertices, {len(mesh.faces)} faces at density "
        f"{mesh.level:.3g}: {folder / 'mesh.glb'}"
    )


def main() -> None:
    """The command."""
    workdir = cli.define_workdir()

    def command(_) -> None:
        check_extras()
        folder = open_run(workdir.value)
        with locked(folder):
            export_run(folder, list(assemble.load_stages(folder, last_only=True).values())[-1])

    cli.run(command)


if __name__ == "__main__":
    main()
