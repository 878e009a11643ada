"""A mesh as a binary glTF 2.0 file, which browsers and Blender open.

Choice: written here and not by trimesh, whose export stores vertex colours in 8 linear
bits (dark colours in visible steps) and names no material, so that viewers take the
default, a metal. Three things are converted on the way out:

* z up becomes glTF's y up: (x, y, z) -> (x, z, -y), a rotation.
* sRGB becomes linear, which is what COLOR_0 means (glTF 2.0, 3.9.2).
* The material is unlit (KHR_materials_unlit): the colours already hold the light that
  the pictures were taken in. Viewers without that extension fall back to a matte one.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from jaxvsnerf.files import write_bytes
from jaxvsnerf.outputs.mesh import Mesh

_FLOAT, _UINT32 = 5126, 5125
_VERTEX_BUFFER, _INDEX_BUFFER = 34962, 34963
_MATERIAL = {
    "name": "radiance",
    "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
    "extensions": {"KHR_materials_unlit": {}},
}


def write_glb(path: str | Path, mesh: Mesh) -> None:
    """Writes a .glb file with positions, normals and vertex colours, whole or not at all.

    Args:
      path: the file.
      mesh: in world coordinates, z up.

    Raises:
      ValueError: no face.
    """
    write_bytes(path, encode_glb(mesh))


def srgb_to_linear(colors: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values, both in [0, 1]. Source: IEC 61966-2-1."""
    colors = np.asarray(colors, np.float32)
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def y_up(vectors: np.ndarray) -> np.ndarray:
    """[..., 3] z-up vectors in glTF's frame: x stays, z goes up, y comes towards the back."""
    return np.stack([vectors[..., 0], vectors[..., 2], -vectors[..., 1]], axis=-1)


def encode_glb(mesh: Mesh) -> bytes:
    """The bytes of the file: a header, a JSON chunk and a binary chunk.

    Raises:
      ValueError: no face.

    Source: glTF 2.0, section 4 (GLB).
    """
    if not len(mesh.faces):
        raise ValueError("expected a mesh with at least one face, got none")
    attributes = {
        "POSITION": y_up(mesh.vertices),
        "NORMAL": y_up(mesh.normals),
        "COLOR_0": srgb_to_linear(mesh.colors),
    }
    document, body = _document(attributes, mesh.faces)
    text = json.dumps(document, separators=(",", ":")).encode()
    chunks = _chunk(b"JSON", text, b" ") + _chunk(b"BIN\0", body, b"\0")
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _document(attributes: dict[str, np.ndarray], faces: np.ndarray) -> tuple[dict[str, Any], bytes]:
    """The JSON part and the buffer it describes; all elements are 4 bytes wide."""
    views, accessors, body = [], [], b""
    arrays = [*attributes.values(), faces.reshape(-1)]
    for array in arrays:
        is_index = array.ndim == 1
        data = np.ascontiguousarray(array, "<u4" if is_index else "<f4")
        views.append(
            {
                "buffer": 0,
                "byteOffset": len(body),
                "byteLength": data.nbytes,
                "target": _INDEX_BUFFER if is_index else _VERTEX_BUFFER,
            }
        )
        accessors.append(
            {
                "bufferView": len(views) - 1,
                "componentType": _UINT32 if is_index else _FLOAT,
                "count": len(data),
                "type": "SCALAR" if is_index else "VEC3",
                "min": np.atleast_1d(data.min(0)).tolist(),
                "max": np.atleast_1d(data.max(0)).tolist(),
            }
        )
        body += data.tobytes()
    primitive = {
        "attributes": {name: i for i, name in enumerate(attributes)},
        "indices": len(attributes),
        "material": 0,
        "mode": 4,
    }
    document = {
        "asset": {"version": "2.0", "generator": "jaxvsnerf"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "object"}],
        "meshes": [{"name": "object", "primitives": [primitive]}],
        "materials": [_MATERIAL],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(body)}],
    }
    return document, body


def _chunk(kind: bytes, data: bytes, filler: bytes) -> bytes:
    data += filler * (-len(data) % 4)
    return struct.pack("<I4s", len(data), kind) + data
