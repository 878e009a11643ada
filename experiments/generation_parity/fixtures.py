"""Reads the fixtures: arrays channels last, weights as parameters, what networks did inside."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxvsnerf.generation.keys import module_keys, params_from_state
from jaxvsnerf.generation.spec import TINY
from jaxvsnerf.types import Array, Params

# Of an array's largest number: networks for themselves, and what went through the frusta.
MODULE, CHAINED = 1e-5, 1e-4


class Check(NamedTuple):
    """Two arrays that should be equal.

    Attributes:
      name: of what they are.
      found: ours.
      expected: the original's, in the same layout.
      limit: how far they may differ, of the largest expected number.
    """

    name: str
    found: Array
    expected: np.ndarray
    limit: float

    def error(self) -> float:
        """Largest difference over largest number."""
        expected = np.asarray(self.expected, np.float64)
        found = np.asarray(self.found, np.float64)
        if found.shape != expected.shape:
            raise ValueError(f"{self.name}: expected {expected.shape}, got {found.shape}")
        return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))

    def passes(self) -> bool:
        """Whether the error is finite and within the limit."""
        return self.error() <= self.limit


class Fixtures:
    """The files of a folder of fixtures, each read once.

    Args:
      folder: `syncdreamer_parity`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.read = functools.cache(self._read)

    def _read(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / f"{name}.npz") as file:
            return {key: file[key] for key in file.files}

    @functools.cached_property
    def params(self) -> Params:
        """The tiny model's."""
        return params_from_state(self.read("weights_tiny"), TINY)

    @functools.cached_property
    def photo(self) -> np.ndarray:
        """[256, 256, 3] in [-1, 1]."""
        return self.read("preprocess")["crop200"]


def last(x: np.ndarray, channels: int = 1) -> np.ndarray:
    """Channels last, from the axis `channels`."""
    return np.moveaxis(x, channels, -1)


def pictures_last(x: np.ndarray) -> np.ndarray:
    """[..., C, H, W] with channels last."""
    return np.moveaxis(x, -3, -1)


def inside(intermediates: dict[str, Any]) -> dict[str, Array]:
    """What every module returned, by the original's name of the module."""
    found = {}

    def visit(node: dict[str, Any], names: tuple[str, ...]) -> None:
        for name, value in node.items():
            if isinstance(value, dict):
                visit(value, (*names, name))
            elif names:
                found[".".join(module_keys(names))] = value[0]

    visit(intermediates, ())
    return found
