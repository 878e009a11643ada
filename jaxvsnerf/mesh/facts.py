"""What a mesh is worth to who takes it on: closed or not, how large, how many faces."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxvsnerf.mesh.extract import Mesh
from jaxvsnerf.system.extras import require


def mesh_facts(mesh: Mesh) -> dict[str, Any]:
    """Facts of a surface before it is cut into charts, as JSON holds them.

    Args:
      mesh: in the frame that it is written in.

    Returns:
      vertices, faces; watertight (every edge between two faces, all wound alike), euler
      (for each closed part 2, less twice its handles), area, volume, and bounds [2][3].

    Raises:
      ImportError: trimesh is missing.
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
