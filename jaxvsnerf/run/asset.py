"""Exports the asset of a run, a closed and textured mesh, and scores its geometry."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxvsnerf.config.resolve import mesh_spec
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import inverse_similarity, transform_points
from jaxvsnerf.mesh.bake import bake_texture, paint_vertices
from jaxvsnerf.mesh.extract import Extraction, Mesh
from jaxvsnerf.mesh.facts import mesh_facts
from jaxvsnerf.mesh.glb import write_glb
from jaxvsnerf.mesh.obj import write_obj
from jaxvsnerf.mesh.ply import write_ply
from jaxvsnerf.metrics.geometry import score_geometry
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.run.scene_file import load_scene
from jaxvsnerf.run.scores import GEOMETRY_FILE
from jaxvsnerf.run.surface import field_mesh, field_paint
from jaxvsnerf.run.workdir import load_settings
from jaxvsnerf.system import cli
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.measure import timed
from jaxvsnerf.types import Cameras, Similarity, Surface

WRITERS = {"glb": write_glb, "obj": write_obj, "ply": write_ply}


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
      folder: folder of the run.
      field: the trained field.
      format: one of WRITERS.
      frame: `cube`, or `source` for the frame of the given poses.
      level: density at the surface; 0 chooses the level automatically; None takes the run's
        setting, as for the next three arguments.
      resolution: lattice points a side.
      faces: largest number of faces.
      texture: side of the texture in texels; 0 gives vertex colours.
      say: takes the lines to show.

    Returns:
      The mesh before unwrapping, always in the object's cube.

    Raises:
      InputError: there is no surface at the level (the message suggests a level), or settings
        contradict each other.
    """
    given = dict(level=level, resolution=resolution, faces=faces, texture=texture)
    given = {name: value for name, value in given.items() if value is not None}
    settings = replace(mesh_spec(load_settings(folder)), **given)
    if format == "ply" and texture:
        raise InputError("texture: a .ply has vertex colours; take --texture=0, or glb or obj")
    size = 0 if format == "ply" else settings.texture
    seconds: dict[str, float] = {}
    with timed(seconds, "surface"):
        found = field_mesh(field, settings.level, settings.resolution, settings.faces)
    with timed(seconds, "pictures"):
        paint = field_paint(field, found.mesh)
    with timed(seconds, "texture"):
        shown = bake_texture(found.mesh, paint, size) if size else paint_vertices(found.mesh, paint)
    path = folder / f"mesh.{format}"
    source = inverse_similarity(load_scene(folder).to_cube) if frame == "source" else None
    with timed(seconds, "write"):
        WRITERS[format](path, _moved(shown, source))
    facts = {
        "file": path.name,
        "bytes": path.stat().st_size,
        "frame": frame,
        "texture": size,
        **mesh_facts(_moved(found.mesh, source)),
        **_surface_facts(found),
        "seconds": {phase: round(spent, 3) for phase, spent in seconds.items()},
    }
    write_text(folder / "eval" / "mesh.json", json.dumps(facts, indent=2) + "\n")
    say(_summary(facts, path))
    return found.mesh


def _surface_facts(found: Extraction) -> dict[str, Any]:
    """How the surface was found and mended, for eval/mesh.json."""
    return {
        "level": found.level,
        "floaters_removed": found.floaters,
        "hollow_volume_filled": found.hollow,
        "holes_filled": found.holes,
    }


def score_surface(
    folder: Path, mesh: Mesh, truth: Surface, cameras: Cameras, say: Callable[[str], None] = cli.say
) -> None:
    """Writes eval/geometry.json: Chamfer distance and volume IoU against the true geometry.

    Args:
      folder: folder of the run.
      mesh: the exported mesh, in the object's cube.
      truth: the true surface, in the cube.
      cameras: only surfaces that they see are compared: the truth's or else the inputs'.
      say: takes the line to show.
    """
    scores = score_geometry(Surface(mesh.vertices, mesh.faces), truth, cameras)
    write_text(folder / GEOMETRY_FILE, json.dumps(scores, indent=2) + "\n")
    text = (
        "geometry: Chamfer distance {chamfer:.4f}, volume IoU {iou:.4f}, normals {normal_deg:.1f}"
    )
    say(f"{text} degrees off".format(**scores))


def _summary(facts: dict[str, Any], path: Path) -> str:
    """Summarises the written asset in one line."""
    closed = "watertight" if facts["watertight"] else "NOT watertight"
    colours = f"texture {facts['texture']}" if facts["texture"] else "vertex colours"
    # Densities of surfaces are positive; the surface of a signed distance lies at 0.
    place = f"density {facts['level']:.3g}" if facts["level"] else "distance 0"
    return (
        f"mesh: {facts['faces']} faces, {closed}, {colours}, at {place}; "
        f"{facts['floaters_removed']} floaters removed, hollows of "
        f"{100 * facts['hollow_volume_filled'] / facts['volume']:.1f} % filled: "
        f"{path} ({facts['bytes'] / 1e6:.1f} MB)"
    )


def _moved(mesh: Mesh, similarity: Similarity | None) -> Mesh:
    """Moves the mesh by the similarity; None returns the mesh unchanged."""
    if similarity is None:
        return mesh
    turn = np.asarray(similarity.rotation, np.float32)
    vertices = np.asarray(transform_points(jnp.asarray(mesh.vertices), similarity))
    return mesh._replace(vertices=vertices, normals=mesh.normals @ turn.T)
