"""Exports a run's final field as an asset: a closed mesh with a texture.

    python -m jaxvsnerf.export --workdir=DIR [--format=glb|obj|ply] [--faces=20000]
        [--texture=1024] [--frame=source] [--level=10] [--resolution=256]

Writes DIR/mesh.glb (mesh.obj with mesh.mtl and mesh.png, mesh.ply), in the object's cube or in
the frame that the poses came in; DIR/eval/mesh.json, what the mesh is like; and
DIR/eval/geometry.json where data.mesh names the true geometry. --texture=0 leaves vertex
colours, as a .ply has them always.
"""

from __future__ import annotations

from absl import flags

from jaxvsnerf.config.files import load_config
from jaxvsnerf.run import assemble
from jaxvsnerf.run.asset import WRITERS, export_run, score_surface
from jaxvsnerf.run.dataset import read_pictures
from jaxvsnerf.run.saved import load_stages
from jaxvsnerf.run.workdir import locked, open_run
from jaxvsnerf.system import cli
from jaxvsnerf.system.extras import check_extras


def main() -> None:
    """The command."""
    workdir = cli.define_workdir()
    choices = {
        "format": flags.DEFINE_enum("format", "glb", list(WRITERS), "Kind of file."),
        "frame": flags.DEFINE_enum("frame", "cube", ["cube", "source"], "Frame of the mesh."),
        "level": flags.DEFINE_float("level", None, "Density of the surface, 0 finds it.", 0.0),
        "resolution": flags.DEFINE_integer("resolution", None, "Lattice points a side.", 2),
        "faces": flags.DEFINE_integer("faces", None, "Most faces.", 4),
        "texture": flags.DEFINE_integer("texture", None, "Texels a side, 0: vertex colours.", 0),
    }

    def command(_) -> None:
        check_extras()
        folder = open_run(workdir.value)
        with locked(folder):
            config = load_config(folder / "config.json")
            dataset = truth = None
            if config.data.mesh:
                dataset = read_pictures(config)
                truth = assemble.load_true_surface(config, dataset)
            field = list(load_stages(folder, last_only=True).values())[-1]
            options = {name: choice.value for name, choice in choices.items()}
            mesh = export_run(folder, field, **options)
            if truth is not None:
                score_surface(folder, mesh, truth, dataset)

    cli.run(command)


if __name__ == "__main__":
    main()
