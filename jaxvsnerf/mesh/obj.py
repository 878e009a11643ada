"""Writes a mesh as a Wavefront .obj file with a material and a texture file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from jaxvsnerf.mesh.extract import Mesh
from jaxvsnerf.mesh.glb import png_bytes, y_up
from jaxvsnerf.system.files import replacing, write_text

ALTERNATE = "-alternate"
MAX_LINE = 4096
# illum 0: constant colour, without lighting.
_MATERIAL = "newmtl radiance\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 0\nmap_Kd {picture}\n"


def write_obj(path: str | Path, mesh: Mesh) -> None:
    """Writes name.obj and, for a mesh with a texture, a material and a texture file.

    These are name.mtl and name.png, or name-alternate.mtl and .png if the .obj that is there names
    the former. The .obj is replaced last, and the files that it named before go then. So the .obj
    names the files that it was made with, at whatever moment the process is killed. No file is
    replaced unless all could be written.

    Vertices that the UV seams duplicate are merged, so the surface stays closed. Without a texture,
    vertex colours follow the vertex positions, as Blender and MeshLab read them.

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
    named = _named_material(path)
    usual, other = path.with_suffix(".mtl"), path.with_name(f"{path.stem}{ALTERNATE}.mtl")
    if mesh.texture is None:
        write_text(path, _obj_text(mesh))
        material = None
    else:
        material = other if named == usual.name else usual
        _write_set(path, material, mesh)
    for older in (usual, other):
        # name.mtl is another's file unless the .obj named it; the other name is ours alone.
        if older != material and (older.name == named or older == other):
            older.unlink(missing_ok=True)
            older.with_suffix(".png").unlink(missing_ok=True)


def _write_set(path: Path, material: Path, mesh: Mesh) -> None:
    """Writes the texture, the material and last the .obj, which replaces an older one."""
    picture = material.with_suffix(".png")
    text = f"mtllib {material.name}\nusemtl radiance\n" + _obj_text(mesh)
    with replacing(path) as obj, replacing(material) as mtl, replacing(picture) as png:
        png.write_bytes(png_bytes(mesh.texture))
        mtl.write_bytes(_MATERIAL.format(picture=picture.name).encode())
        obj.write_bytes(text.encode())


def _named_material(path: Path) -> str:
    """The name of the material file in the first line of an .obj of ours, or ''."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        kind, _, name = file.readline(MAX_LINE).decode(errors="replace").partition(" ")
    return name.strip() if kind == "mtllib" else ""


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
