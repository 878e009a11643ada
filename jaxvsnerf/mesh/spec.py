"""The mesh that a run exports."""

from __future__ import annotations

from dataclasses import dataclass

from jaxvsnerf.system.settings import check_spec, setting


@dataclass(frozen=True)
class MeshSpec:
    """The exported mesh, see docs/assets.md."""

    resolution: int = setting(
        192,
        "Points a side of the lattice on which the surface is found.",
        at_least=2,
        at_most=1024,
    )
    level: float = setting(
        0.0,
        "Density at the surface; 0 finds the level.",
        at_least=0,
        at_most=1e6,
        unit="per cube side",
    )
    faces: int = setting(20000, "Largest number of triangles.", at_least=4, at_most=10_000_000)
    texture: int = setting(
        1024,
        "Side of the texture; 0 gives vertex colours instead.",
        at_least=16,
        at_most=8192,
        also=0,
        unit="texels",
    )

    def __post_init__(self) -> None:
        check_spec(self, "mesh")
