"""Writes a mesh as a Wavefront .obj file with a material and a texture file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from jaxvsnerf.mesh.extract import Mesh
from jaxvsnerf.mesh.glb import png_bytes, y_up
from jaxvsnerf.system.files import replacing

# illum 0: constant colour, without lighting.
_MATERIAL = "newmtl radiance\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 0\nmap_Kd {picture}\n"


def write_obj(path: str | Path, mesh: Mesh) -> None:
    """Writes name.obj and, for a mesh with a texture, name.mtl and name.png.

    No file is replaced unless all could be written; the .obj is replaced last. Vertices that the
    UV seams duplicate are merged, so the surface stays closed. Without a texture, vertex colours
    follow the vertex positions, as Blender and MeshLab read them.

    Choice: y up like glTF, because Blender, three.js and Unity expect y up in .obj files.

    Args:
      path: .obj file to write.
      mesh: in world coordinates, z up.

    Raises:
      ValueError: no face.
    """
    if not len(mesh.faces):
        raise ValueError("expected a mesh with at least one face, got none")
    path = Path(path)
    if mesh.texture is None:
        with replacing(path) as temporary:
            temporary.write_text(_obj_text(mesh))
        return
    material, picture = path.with_suffix(".mtl"), path.with_suffix(".png")
    text = f"mtllib {material.name}\nusemtl radiance\n" + _obj_text(mesh)
    with replacing(path) as obj, replacing(material) as mtl, replacing(picture) as png:
        png.write_bytes(png_bytes(mesh.texture))
        mtl.write_text(_MATERIAL.format(picture=picture.name))
        obj.write_text(text)


def _obj_text(mesh: Mesh) -> str:
    """Lines of vertices, normals, texture coordinates and faces."""
    _, first, number = np.unique(mesh.vertices, axis=0, return_index=True, return_inverse=True)
    corners = number.reshape(-1)[mesh.faces] + 1
    rows = y_up(mesh.vertices[first])
    if mesh.texture is None and mesh.colors is not None:
        rows = np.concatenate([rows, mesh.colors[first]], -1)
    parts = [_rows("v", rows), _rows("vn", y_up(mesh.normals[first]))]
    if mesh.texture is None:
        face = np.stack([corners, corners], -1)
        return "".join([*parts, _rows("f", face.reshape(-1, 6), "%d//%d")])
    # In .obj files (0, 0) is the texture's lower left corner.
    parts.append(_rows("vt", np.stack([mesh.uv[:, 0], 1.0 - mesh.uv[:, 1]], -1)))
    face = np.stack([corners, mesh.faces + 1, corners], -1)
    return "".join([*parts, _rows("f", face.reshape(-1, 9), "%d/%d/%d")])


def _rows(kind: str, values: np.ndarray, one: str = "%.6f") -> str:
    """Formats one line per row: `kind`, then the values by the repeated format `one`."""
    count = values.shape[1] // one.count("%")
    file = io.StringIO()
    np.savetxt(file, values, f"{kind} " + " ".join([one] * count))
    return file.getvalue()
