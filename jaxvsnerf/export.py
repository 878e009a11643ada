"""Exports a run's final field as an asset: a closed mesh with a texture.

    python -m jaxvsnerf.export --workdir=DIR [--format=glb|obj|ply] [--faces=20000]
        [--texture=1024] [--frame=source] [--level=10] [--resolution=256]

Writes DIR/mesh.glb (mesh.obj with mesh.mtl and mesh.png, mesh.ply), in the object's cube or in
the frame that the poses came in; DIR/eval/mesh.json, what the mesh is like; and
DIR/eval/geometry.json where data.mesh names the true geometry. --texture=0 leaves vertex
colours, as a .ply has them always.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from absl import flags

from jaxvsnerf import assemble, cli
from jaxvsnerf.config import load_config
from jaxvsnerf.data.load import load_dataset
from jaxvsnerf.extras import check_extras
from jaxvsnerf.files import write_text
from jaxvsnerf.geometry.cameras import (
    HALF_EXTENT,
    camera_centers,
    inverse_similarity,
    take,
    transform_points,
)
from jaxvsnerf.metrics.geometry import score_geometry
from jaxvsnerf.outputs.bake import PaintFn, bake_texture, check_texture_size, paint_vertices
from jaxvsnerf.outputs.facts import mesh_facts
from jaxvsnerf.outputs.glb import write_glb
from jaxvsnerf.outputs.lattice import sample_density
from jaxvsnerf.outputs.mesh import Extraction, Mesh, extract_mesh
from jaxvsnerf.outputs.obj import write_obj
from jaxvsnerf.outputs.ply import write_ply
from jaxvsnerf.outputs.project import paint_from_pictures
from jaxvsnerf.rendering.composite import alpha_weights
from jaxvsnerf.saved import load_stages
from jaxvsnerf.scene_file import load_scene
from jaxvsnerf.trained import TrainedField
from jaxvsnerf.types import Dataset, Similarity, Surface
from jaxvsnerf.usage import timed
from jaxvsnerf.workdir import locked, open_run

WRITERS = {"glb": write_glb, "obj": write_obj, "ply": write_ply}
# Pictures that a texture is made from, at most; more of them show the same again.
MAX_PICTURES = 32
# Where light that meets the surface head on is looked for, in sides of the cube: from before it
# to behind it, in so many intervals.
_BEFORE, _BEHIND, _INTERVALS = 0.02, 0.08, 6


def field_mesh(
    field: TrainedField, level: float, resolution: int, max_faces: int | None = None
) -> Extraction:
    """Marching cubes of the density.

    Args:
      field: the field.
      level: density of the surface, 0 to find it.
      resolution: lattice points a side.
      max_faces: most faces, None for all that marching cubes makes.

    Returns:
      The mesh, in the object's cube, without colours.

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
        half_extent=HALF_EXTENT,
        level=level or "auto",
        max_faces=max_faces,
        viewpoints=camera_centers(field.cameras),
    )


def head_on_colors(field: TrainedField, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """What is seen on looking at a surface against its normals.

    Args:
      field: the field.
      points: [N, 3] on its surface, in the cube.
      normals: [N, 3] unit length, outward.

    Returns:
      [N, 3] rgb, composited along a short ray through each point.
    """
    edges = np.linspace(-_BEFORE, _BEHIND, _INTERVALS + 1, dtype=np.float32)
    depths = 0.5 * (edges[1:] + edges[:-1])
    along = points[:, None] - depths[:, None] * normals[:, None]
    directions = np.repeat(-normals, _INTERVALS, axis=0)
    density, rgb = field.query(along.reshape(-1, 3), directions)
    weights = np.asarray(alpha_weights(density.reshape(-1, _INTERVALS) * np.diff(edges)))
    weights = weights[..., None] + 1e-6  # nothing is met at all: the mean of what is there
    return (weights * rgb.reshape(-1, _INTERVALS, 3)).sum(1) / weights.sum(1)


def field_paint(field: TrainedField, mesh: Mesh) -> PaintFn:
    """The colours of the field on a surface: of its pictures, from the input views' cameras.

    Args:
      field: the field.
      mesh: its surface, in the cube.

    Returns:
      A function of points on the mesh, see `paint_from_pictures`. Where no camera looks, the
      field is asked along the surface's normals.
    """
    count = len(field.cameras.w2c)
    views = np.arange(count)
    if count > MAX_PICTURES:
        views = np.linspace(0, count - 1, MAX_PICTURES).round().astype(int)
    cameras = take(field.cameras, views)
    picture = field.render(cameras)
    mesh = mesh._replace(colors=head_on_colors(field, mesh.vertices, mesh.normals))
    return paint_from_pictures(mesh, picture.rgb, picture.acc, cameras, field.background)


def export_run(
    folder: Path,
    field: TrainedField,
    *,
    format: str = "glb",
    frame: str = "cube",
    level: float | None = None,
    resolution: int | None = None,
    faces: int | None = None,
    texture: int | None = None,
    say: Callable[[str], None] = cli.say,
) -> Mesh:
    """Writes the asset and eval/mesh.json.

    Args:
      folder: the run.
      field: the field.
      format: one of WRITERS.
      frame: `cube`, or `source` for the frame that the poses came in.
      level: density of the surface, 0 to find it; None is the run's setting, here and below.
      resolution: lattice points a side.
      faces: most faces.
      texture: side of the texture in texels, 0 for vertex colours.
      say: takes the lines to show.

    Returns:
      The mesh before it was unwrapped, in the object's cube whatever `frame`.

    Raises:
      ValueError: no surface at the level asked for, which says which would give one; or
        settings that contradict each other.
    """
    settings = load_config(folder / "config.json").mesh
    given = dict(level=level, resolution=resolution, faces=faces, texture=texture)
    settings.update({name: value for name, value in given.items() if value is not None})
    if format == "ply" and texture:
        raise ValueError("texture: a .ply has vertex colours; take --texture=0, or glb or obj")
    check_texture_size(settings.texture)
    size = 0 if format == "ply" else settings.texture
    seconds: dict[str, float] = {}
    with timed(seconds, "surface"):
        found = field_mesh(field, settings.level, settings.resolution, settings.faces)
    with timed(seconds, "pictures"):
        paint = field_paint(field, found.mesh)
    with timed(seconds, "texture"):
        shown = bake_texture(found.mesh, paint, size) if size else paint_vertices(found.mesh, paint)
    path = folder / f"mesh.{format}"
    source = inverse_similarity(load_scene(folder)[2]) if frame == "source" else None
    with timed(seconds, "write"):
        WRITERS[format](path, _moved(shown, source))
    facts = {
        "file": path.name,
        "bytes": path.stat().st_size,
        "frame": frame,
        "texture": size,
        **mesh_facts(_moved(found.mesh, source)),
        "level": found.level,
        "floaters_removed": found.floaters,
        "hollow_volume_filled": found.hollow,
        "holes_filled": found.holes,
        "seconds": {phase: round(spent, 3) for phase, spent in seconds.items()},
    }
    write_text(folder / "eval" / "mesh.json", json.dumps(facts, indent=2) + "\n")
    say(_summary(facts, path))
    return found.mesh


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


def _summary(facts: dict[str, Any], path: Path) -> str:
    """One line of what was written."""
    closed = "watertight" if facts["watertight"] else "NOT watertight"
    colours = f"texture {facts['texture']}" if facts["texture"] else "vertex colours"
    return (
        f"mesh: {facts['faces']} faces, {closed}, {colours}, at density {facts['level']:.3g}; "
        f"{facts['floaters_removed']} floaters removed, hollows of "
        f"{100 * facts['hollow_volume_filled'] / facts['volume']:.1f} % filled: "
        f"{path} ({facts['bytes'] / 1e6:.1f} MB)"
    )


def _occupied(support: np.ndarray, resolution: int) -> np.ndarray:
    """[resolution] * 3 bool, the lattice points that lie in the support [G, G, G]."""
    # Of the cube's G cells a side; its last point lies on the border.
    cells = np.linspace(0, len(support), resolution).astype(int).clip(max=len(support) - 1)
    return support[np.ix_(cells, cells, cells)]


def _moved(mesh: Mesh, similarity: Similarity | None) -> Mesh:
    """The mesh in the frame that `similarity` maps to; None leaves it."""
    if similarity is None:
        return mesh
    turn = np.asarray(similarity.rotation, np.float32)
    vertices = np.asarray(transform_points(jnp.asarray(mesh.vertices), similarity))
    return mesh._replace(vertices=vertices, normals=mesh.normals @ turn.T)


def main() -> None:
    """The command."""
    workdir = cli.define_workdir()
    choices = {
        "format": flags.DEFINE_enum("format", "glb", list(WRITERS), "Kind of file."),
        "frame": flags.DEFINE_enum("frame", "cube", ["cube", "source"], "Frame of the mesh."),
        "level": flags.DEFINE_float("level", None, "Density of the surface, 0 finds it.", 0.0),
        "resolution": flags.DEFINE_integer("resolution", None, "Lattice points a side.", 2),
        "faces": flags.DEFINE_integer("faces", None, "Most faces.", 4),
        "texture": flags.DEFINE_integer("texture", None, "Texels a side, 0: vertex colours.", 0),
    }

    def command(_) -> None:
        check_extras()
        folder = open_run(workdir.value)
        with locked(folder):
            config = load_config(folder / "config.json")
            dataset = truth = None
            if config.data.mesh:
                dataset = load_dataset(assemble.data_spec(config))
                truth = assemble.load_true_surface(config, dataset)
            field = list(load_stages(folder, last_only=True).values())[-1]
            options = {name: choice.value for name, choice in choices.items()}
            mesh = export_run(folder, field, **options)
            if truth is not None:
                score_surface(folder, mesh, truth, dataset)

    cli.run(command)


if __name__ == "__main__":
    main()
