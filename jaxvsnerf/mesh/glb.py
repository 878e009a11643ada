"""Writes a mesh as a binary glTF 2.0 file, which browsers, engines and Blender open.

Choice: not written by trimesh, whose export stores vertex colours in 8 linear bits (dark
colours in visible steps) and no unlit material, so that viewers light the colours twice.
Conversions:

* z up becomes glTF's y up: (x, y, z) -> (x, z, -y), a rotation. Lengths are metres.
* A texture stays sRGB, as baseColorTexture requires; vertex colours become linear, as COLOR_0
  requires (glTF 2.0, 3.9.2).
* The material is unlit (KHR_materials_unlit): the colours already contain the light of the
  pictures. Viewers without that extension fall back to a matte material.
"""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from jaxvsnerf.mesh.extract import Mesh
from jaxvsnerf.system.files import write_bytes
from jaxvsnerf.system.png import to_pillow

_FLOAT, _UINT32 = 5126, 5125
_VERTEX_BUFFER, _INDEX_BUFFER = 34962, 34963
_LINEAR, _LINEAR_MIPMAP_LINEAR, _CLAMP_TO_EDGE = 9729, 9987, 33071
_KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3"}
_MATERIAL = {
    "name": "radiance",
    "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
    "extensions": {"KHR_materials_unlit": {}},
}


def write_glb(path: str | Path, mesh: Mesh) -> None:
    """Writes a .glb file atomically.

    Args:
      path: file to write.
      mesh: in world coordinates, z up; the texture is embedded as a PNG, or the vertex colours
        are written if there is no texture.

    Raises:
      ValueError: no face.
    """
    write_bytes(path, encode_glb(mesh))


def srgb_to_linear(colors: np.ndarray) -> np.ndarray:
    """Converts sRGB to linear colours, both in [0, 1]. Source: IEC 61966-2-1."""
    colors = np.asarray(colors, np.float32)
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def y_up(vectors: np.ndarray) -> np.ndarray:
    """Rotates z-up vectors [..., 3] into glTF's y-up frame: (x, y, z) -> (x, z, -y)."""
    return np.stack([vectors[..., 0], vectors[..., 2], -vectors[..., 1]], axis=-1)


def encode_glb(mesh: Mesh) -> bytes:
    """Encodes a .glb file: a header, a JSON chunk and a binary chunk.

    Raises:
      ValueError: no face.

    Source: glTF 2.0, section 4 (GLB).
    """
    if not len(mesh.faces):
        raise ValueError("expected a mesh with at least one face, got none")
    attributes = {"POSITION": y_up(mesh.vertices), "NORMAL": y_up(mesh.normals)}
    picture = b""
    if mesh.texture is not None:
        attributes["TEXCOORD_0"] = mesh.uv
        picture = png_bytes(mesh.texture)
    elif mesh.colors is not None:
        attributes["COLOR_0"] = srgb_to_linear(mesh.colors)
    document, body = _document(attributes, mesh.faces, picture)
    text = json.dumps(document, separators=(",", ":")).encode()
    chunks = _chunk(b"JSON", text, b" ") + _chunk(b"BIN\0", body, b"\0")
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def png_bytes(image: np.ndarray) -> bytes:
    """Encodes a picture [H, W, 3] in [0, 1] as PNG."""
    file = io.BytesIO()
    to_pillow(image).save(file, "PNG")
    return file.getvalue()


def _document(
    attributes: dict[str, np.ndarray], faces: np.ndarray, picture: bytes
) -> tuple[dict[str, Any], bytes]:
    """Builds the JSON document and its buffer: 4-byte elements, then the PNG if there is one."""
    views, accessors, body = [], [], b""
    arrays = [*attributes.values(), faces.reshape(-1)]
    for array in arrays:
        is_index = array.ndim == 1
        data = np.ascontiguousarray(array, "<u4" if is_index else "<f4")
        target = _INDEX_BUFFER if is_index else _VERTEX_BUFFER
        views.append({"byteOffset": len(body), "byteLength": data.nbytes, "target": target})
        accessors.append(
            {
                "bufferView": len(views) - 1,
                "componentType": _UINT32 if is_index else _FLOAT,
                "count": len(data),
                "type": _KINDS[1 if is_index else data.shape[1]],
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
    }
    if picture:
        views.append({"byteOffset": len(body), "byteLength": len(picture)})
        body += picture
        document |= _texture(len(views) - 1)
    document["bufferViews"] = [{"buffer": 0, **view} for view in views]
    document["buffers"] = [{"byteLength": len(body)}]
    return document, body


def _texture(view: int) -> dict[str, Any]:
    """Document entries that make a PNG in a buffer view the material's texture."""
    shown = _MATERIAL["pbrMetallicRoughness"] | {"baseColorTexture": {"index": 0}}
    wrap = {"wrapS": _CLAMP_TO_EDGE, "wrapT": _CLAMP_TO_EDGE}
    return {
        "materials": [_MATERIAL | {"pbrMetallicRoughness": shown}],
        "textures": [{"source": 0, "sampler": 0}],
        "images": [{"name": "colour", "bufferView": view, "mimeType": "image/png"}],
        "samplers": [{"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR, **wrap}],
    }


def _chunk(kind: bytes, data: bytes, filler: bytes) -> bytes:
    data += filler * (-len(data) % 4)
    return struct.pack("<I4s", len(data), kind) + data
