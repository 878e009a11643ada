"""Packages that only exports need, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from jaxvsnerf.errors import MissingExtra

PIP_LINE = "pip install 'jaxvsnerf[export]'"
# Module to import -> what it is needed for. Their distributions are the extra `export`.
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
      purpose: what needs it, for the message; known modules have one.
      pip_line: what installs it.

    Returns:
      The module.

    Raises:
      ImportError: it is not installed; the message holds the pip line.
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
    """Imports every optional module now, so that none is found missing after training.

    Args:
      modules: those that will be used; a run without a mesh need not have trimesh.

    Raises:
      ImportError: at least one is missing, or there is no ffmpeg program; names all of
        them and the pip line.
    """
    missing = []
    for module in modules:
        try:
            imported = importlib.import_module(module)
            if module == "imageio_ffmpeg":
                imported.get_ffmpeg_exe()
        except (ImportError, RuntimeError) as error:
            purpose = EXPORT_MODULES.get(module, "an export")
            missing.append(f"  {module}, for {purpose}: {error}")
    if missing:
        raise MissingExtra(
            "optional packages are missing:\n"
            + "\n".join(missing)
            + f"\ninstall them with: {PIP_LINE}"
        )
