"""Reads the fixtures: arrays with channels last, weights as parameters, intermediates."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxvsnerf.generation.keys import module_keys, params_from_state
from jaxvsnerf.generation.spec import TINY
from jaxvsnerf.types import Array, Params

# Limits as shares of an array's largest number: for single networks, and for arrays that depend on
# the frusta.
MODULE, CHAINED = 1e-5, 1e-4


class Check(NamedTuple):
    """Two arrays that should be equal.

    Attributes:
      name: name of the arrays.
      found: our array.
      expected: the original's array, in the same layout.
      limit: largest allowed difference, as a share of the largest expected number.
    """

    name: str
    found: Array
    expected: np.ndarray
    limit: float

    def error(self) -> float:
        """Largest difference divided by the largest expected number.

        Raises:
          ValueError: the arrays have different shapes.
        """
        expected = np.asarray(self.expected, np.float64)
        found = np.asarray(self.found, np.float64)
        if found.shape != expected.shape:
            raise ValueError(f"{self.name}: expected {expected.shape}, got {found.shape}")
        return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))

    def passes(self) -> bool:
        """Whether the error is finite and within the limit."""
        return self.error() <= self.limit


class Fixtures:
    """Reads the files of a folder of fixtures, each only once.

    Args:
      folder: the folder `syncdreamer_parity`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.read = functools.cache(self._read)

    def _read(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / f"{name}.npz") as file:
            return {key: file[key] for key in file.files}

    @functools.cached_property
    def params(self) -> Params:
        """Parameters of the tiny model."""
        return params_from_state(self.read("weights_tiny"), TINY)

    @functools.cached_property
    def photo(self) -> np.ndarray:
        """The input photo, [256, 256, 3] in [-1, 1]."""
        return self.read("preprocess")["crop200"]


def last(x: np.ndarray, channels: int = 1) -> np.ndarray:
    """Moves the axis `channels` to the end."""
    return np.moveaxis(x, channels, -1)


def pictures_last(x: np.ndarray) -> np.ndarray:
    """Converts [..., C, H, W] to [..., H, W, C]."""
    return np.moveaxis(x, -3, -1)


def inside(intermediates: dict[str, Any]) -> dict[str, Array]:
    """Outputs of all modules, by the original's name of the module."""
    found = {}

    def visit(node: dict[str, Any], names: tuple[str, ...]) -> None:
        for name, value in node.items():
            if isinstance(value, dict):
                visit(value, (*names, name))
            elif names:
                found[".".join(module_keys(names))] = value[0]

    visit(intermediates, ())
    return found
