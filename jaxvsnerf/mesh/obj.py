"""A mesh as a Wavefront .obj file with its material and texture beside it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from jaxvsnerf.mesh.extract import Mesh
from jaxvsnerf.mesh.glb import png_bytes, y_up
from jaxvsnerf.system.files import replacing

# illum 0: the colour as it is, without lights.
_MATERIAL = "newmtl radiance\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 0\nmap_Kd {picture}\n"


def write_obj(path: str | Path, mesh: Mesh) -> None:
    """Writes name.obj and, of a mesh with a texture, name.mtl and name.png.

    None of them is replaced unless all could be written; the .obj is the last. Vertices that
    only the texture's cuts double are one, so the surface stays closed. Without a texture the
    colours stand behind the vertices, which Blender and MeshLab read.

    Choice: y up like glTF, since Blender, three.js and Unity expect it of an .obj.

    Args:
      path: the file.
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
    """Vertices, normals, places in the texture, and faces of them."""
    _, first, number = np.unique(mesh.vertices, axis=0, return_index=True, return_inverse=True)
    corners = number.reshape(-1)[mesh.faces] + 1
    rows = y_up(mesh.vertices[first])
    if mesh.texture is None and mesh.colors is not None:
        rows = np.concatenate([rows, mesh.colors[first]], -1)
    parts = [_rows("v", rows), _rows("vn", y_up(mesh.normals[first]))]
    if mesh.texture is None:
        face = np.stack([corners, corners], -1)
        return "".join([*parts, _rows("f", face.reshape(-1, 6), "%d//%d")])
    # Its (0, 0) is the lower left corner.
    parts.append(_rows("vt", np.stack([mesh.uv[:, 0], 1.0 - mesh.uv[:, 1]], -1)))
    face = np.stack([corners, mesh.faces + 1, corners], -1)
    return "".join([*parts, _rows("f", face.reshape(-1, 9), "%d/%d/%d")])


def _rows(kind: str, values: np.ndarray, one: str = "%.6f") -> str:
    """A line per row: its kind, then its values, by `one` as many at a time as it names."""
    count = values.shape[1] // one.count("%")
    file = io.StringIO()
    np.savetxt(file, values, f"{kind} " + " ".join([one] * count))
    return file.getvalue()
