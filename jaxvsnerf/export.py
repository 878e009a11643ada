"""Exports a run's final field as an asset: a closed mesh with a texture.

    python -m jaxvsnerf.export --workdir=DIR [--format=glb|obj|ply] [--faces=20000]
        [--texture=1024] [--frame=source] [--level=10] [--resolution=256]
        [--mesh=TRUTH]

Writes DIR/mesh.glb (or mesh.obj with the .mtl and .png that it names, or mesh.ply), in the object's
cube or in the frame of the given poses; DIR/eval/mesh.json, facts about the mesh; and
DIR/eval/geometry.json if data.mesh names the true geometry. A .ply has vertex colours, the other
formats have them with --texture=0.
"""

from __future__ import annotations

from absl import flags

from jaxvsnerf.config.flags import define_paths
from jaxvsnerf.run.asset import WRITERS
from jaxvsnerf.run.remake import export_folder
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    workdir, paths = cli.define_workdir(), define_paths("path", "truth", "photo", "mesh")
    options = {
        "format": flags.DEFINE_enum("format", "glb", list(WRITERS), "Format of the file."),
        "frame": flags.DEFINE_enum("frame", "cube", ["cube", "source"], "Frame of the mesh."),
        "level": flags.DEFINE_float("level", None, "Density of the surface; 0: automatic.", 0.0),
        "resolution": flags.DEFINE_integer("resolution", None, "Lattice points a side.", 2),
        "faces": flags.DEFINE_integer("faces", None, "Largest number of triangles.", 4),
        "texture": flags.DEFINE_integer("texture", None, "Texels a side; 0: vertex colours.", 0),
    }

    def command(_) -> None:
        given = {name: flag.value for name, flag in options.items()}
        export_folder(workdir.value, paths(), **given)

    cli.run(command)


if __name__ == "__main__":
    main()
