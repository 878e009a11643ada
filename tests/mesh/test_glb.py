"""The bytes of a GLB file against the glTF 2.0 specification."""

import json
import struct

import numpy as np
import pytest

from jaxvsnerf.mesh.extract import Mesh
from jaxvsnerf.mesh.glb import encode_glb, y_up


@pytest.fixture
def triangle():
    vertices = np.float32([[0, 0, 0], [1, 0, 0], [0, 2, 0]])
    normals, grey = np.float32([[0, 0, 1]] * 3), np.full((3, 3), 0.5, np.float32)
    return Mesh(vertices, np.int32([[0, 1, 2]]), normals, grey)


def chunks(data):
    """The two chunks, after checking the header and the lengths (glTF 2.0, 4.4)."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    found, at = [], 12
    while at < len(data):
        size, kind = struct.unpack_from("<I4s", data, at)
        assert size % 4 == 0
        found.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size
    assert [kind for kind, _ in found] == [b"JSON", b"BIN\0"]
    return json.loads(found[0][1]), found[1][1]


def test_every_accessor_reads_back_what_was_written(triangle):
    document, body = chunks(encode_glb(triangle))
    primitive = document["meshes"][0]["primitives"][0]

    def read(index):
        accessor = document["accessors"][index]
        view = document["bufferViews"][accessor["bufferView"]]
        kind = {5126: "<f4", 5125: "<u4"}[accessor["componentType"]]
        raw = body[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        values = np.frombuffer(raw, kind).reshape(accessor["count"], -1)
        np.testing.assert_array_equal(values.min(0), accessor["min"])
        np.testing.assert_array_equal(values.max(0), accessor["max"])
        return values

    attributes = {name: read(i) for name, i in primitive["attributes"].items()}
    np.testing.assert_array_equal(attributes["POSITION"], [[0, 0, 0], [1, 0, 0], [0, 0, -2]])
    np.testing.assert_array_equal(attributes["NORMAL"], [[0, 1, 0]] * 3)
    # ((0.5 + 0.055) / 1.055)^2.4
    np.testing.assert_allclose(attributes["COLOR_0"], 0.214041, atol=1e-6)
    np.testing.assert_array_equal(read(primitive["indices"])[:, 0], [0, 1, 2])


def test_colours_are_shown_unlit_and_matte_elsewhere(triangle):
    document, _ = chunks(encode_glb(triangle))
    material = document["materials"][document["meshes"][0]["primitives"][0]["material"]]
    assert "KHR_materials_unlit" in material["extensions"]
    assert document["extensionsUsed"] == ["KHR_materials_unlit"]
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0


def test_y_up_is_a_rotation():
    # Determinant 1: no mirroring, so faces stay counter-clockwise.
    assert np.linalg.det(y_up(np.eye(3))) == pytest.approx(1.0)


def test_a_mesh_without_faces_is_refused(triangle):
    with pytest.raises(ValueError, match="at least one face"):
        encode_glb(triangle._replace(faces=np.zeros((0, 3), np.int32)))
