"""Mesh quality facts: watertightness, size, faces."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxvsnerf.mesh.extract import Mesh
from jaxvsnerf.system.extras import require


def mesh_facts(mesh: Mesh) -> dict[str, Any]:
    """Collects quality facts of a surface before UV unwrapping, as plain JSON values.

    Args:
      mesh: in the frame in which it is written to files.

    Returns:
      vertices, faces; watertight (every edge joins two faces, consistent winding), euler
      (2 minus twice the handles, summed over closed components), area, volume, bounds [2][3].

    Raises:
      MissingExtra: trimesh is missing.
    """
    trimesh = require("trimesh")
    body = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    return {
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "watertight": bool(body.is_watertight and body.is_winding_consistent),
        "euler": int(body.euler_number),
        "area": float(body.area),
        "volume": float(body.volume),
        "bounds": np.asarray(body.bounds, np.float64).tolist(),
    }
