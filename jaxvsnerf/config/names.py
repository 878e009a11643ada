"""Config files by name: `quickstart` for the file configs/quickstart.py."""

from __future__ import annotations

from pathlib import Path

from jaxvsnerf.errors import InputError, MissingFile

PACKAGE = Path(__file__).parent.parent
# A wheel carries the configs inside the package; a checkout has them beside the package.
FOLDERS = (PACKAGE / "configs", PACKAGE.parent / "configs")


def find_config(name: str, folders: tuple[Path, ...] = FOLDERS) -> Path:
    """The config file that a user means.

    Args:
      name: the bare name of a config that ships with the package, such as `quickstart`, or the
        path of a config file; `~` in a path is the home folder.
      folders: where the shipped configs may lie; the first folder that exists counts.

    Returns:
      The path of the config file.

    Raises:
      InputError: no shipped config has this name; lists the names.
      MissingFile: `name` is a path and no file is there.
    """
    if Path(name).name == name and not name.endswith(".py"):
        names = config_names(folders)
        if name not in names:
            raise InputError(
                f"expected one of {', '.join(names)}, or the path of a config file; got {name!r}"
            )
        return _folder(folders) / f"{name}.py"
    path = Path(name).expanduser()
    if not path.is_file():
        raise MissingFile(f"no config file at {path.absolute()}")
    return path


def config_names(folders: tuple[Path, ...] = FOLDERS) -> tuple[str, ...]:
    """The names of the configs that ship with the package, sorted."""
    files = _folder(folders).glob("*.py")
    return tuple(sorted(file.stem for file in files if not file.stem.startswith("_")))


def _folder(folders: tuple[Path, ...]) -> Path:
    """The first folder that exists; a package without configs is broken."""
    for folder in folders:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the installation holds no configs; looked at {list(folders)}")
