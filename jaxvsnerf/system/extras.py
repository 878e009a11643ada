"""Optional packages, imported where they are used."""

from __future__ import annotations

import importlib
import shutil
from types import ModuleType

from jaxvsnerf.errors import MissingExtra

PIP_LINE = "pip install 'jaxvsnerf[export]'"
# Module to import -> its purpose. The modules' distributions are the extra `export`.
EXPORT_MODULES = {
    "skimage.measure": "the mesh's marching cubes",
    "trimesh": "the mesh's normals and facts",
    "fast_simplification": "the mesh's faces, as few as asked for",
    "xatlas": "the mesh's texture",
    "imageio_ffmpeg": "the turntable video",
    "jinja2": "the report",
}


def require(module: str, purpose: str | None = None, pip_line: str = PIP_LINE) -> ModuleType:
    """Imports an optional module.

    Args:
      module: dotted name.
      purpose: what the module is needed for, in the message; EXPORT_MODULES has a purpose of each.
      pip_line: the command that installs the module, in the message.

    Returns:
      The module.

    Raises:
      MissingExtra: the module cannot be imported; the message holds the pip line.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        purpose = purpose or EXPORT_MODULES.get(module, "this export")
        raise MissingExtra(
            f"{module} is needed for {purpose} but cannot be imported ({error}); "
            f"install it with: {pip_line}"
        ) from error


def check_extras(modules: tuple[str, ...] = tuple(EXPORT_MODULES)) -> None:
    """Imports optional modules now, so that a missing module is found before training.

    Args:
      modules: the modules that will be used.

    Raises:
      MissingExtra: at least one module or the ffmpeg program is missing; names all missing modules
        and the pip line.
    """
    missing = []
    for module in modules:
        try:
            imported = importlib.import_module(module)
            if module == "imageio_ffmpeg":
                program = imported.get_ffmpeg_exe()
                if not shutil.which(program):
                    raise RuntimeError(f"there is no program at {program}")
        except (ImportError, RuntimeError) as error:
            purpose = EXPORT_MODULES.get(module, "an export")
            missing.append(f"  {module}, for {purpose}: {error}")
    if missing:
        raise MissingExtra(
            "optional packages are missing:\n"
            + "\n".join(missing)
            + f"\ninstall them with: {PIP_LINE}"
        )
