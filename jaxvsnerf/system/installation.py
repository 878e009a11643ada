"""The installed versions and the complete extras."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterable

PACKAGE = "jaxvsnerf"
# Distributions whose versions a bug report needs.
CORE = (
    PACKAGE,
    *("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "ml-collections", "pillow"),
)
# An extra of another package -> a distribution that only this extra installs.
BROUGHT = {"jax[cuda13]": "jax-cuda13-plugin", "jax[tpu]": "libtpu"}
FOR_DEVELOPERS = ("test",)
_NAME = re.compile(r"[A-Za-z0-9._-]+(\[[A-Za-z0-9,_-]+\])?")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")

Version = Callable[[str], str | None]


def version_of(distribution: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def requirements() -> list[str]:
    """The requirements in this package's metadata; [] if the package is not installed."""
    try:
        return importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def missing_by_extra(
    asked: Iterable[str], version: Version = version_of
) -> dict[str, tuple[str, ...]]:
    """The missing distributions of each extra.

    Args:
      asked: requirements in the form of metadata, such as `trimesh; extra == "export"`.
      version: distribution -> installed version or None.

    Returns:
      extra -> missing distributions, () for a complete extra; extras for developers are left out.
    """
    missing: dict[str, list[str]] = {}
    for requirement in asked:
        name, extra = _NAME.match(requirement.strip()), _EXTRA.search(requirement)
        if not name or not extra or extra[1] in FOR_DEVELOPERS:
            continue
        lacks = missing.setdefault(extra[1], [])
        distribution = BROUGHT.get(name[0], name[0].partition("[")[0])
        if version(distribution) is None:
            lacks.append(distribution)
    return {extra: tuple(lacks) for extra, lacks in missing.items()}


def pip_line(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install '{PACKAGE}[{extra}]'"
