"""The density at which a field's surface is drawn."""

from __future__ import annotations

import numpy as np

# A level is looked for among the densities that swallow half of the light within these
# lengths, in sides of the object's cube: a haze, and a skin half a hundredth thick.
HAZE_LENGTH, SKIN_LENGTH = 0.1, 0.005
_CANDIDATES = 33
_WINDOW = 4


def auto_level(density: np.ndarray) -> float:
    """The density threshold whose solid changes least when the threshold moves.

    Choice: a trained field holds a haze, a solid, and a band between them; any level
    inside the band draws nearly the same surface. Among 33 levels in geometric steps
    this takes the one around which the enclosed volume is most constant, the middle one
    of several equal ones. Bounds come from what light does, not from the lattice, so the
    level hardly changes with the resolution. A field too thin for these bounds is searched
    between 1/20 and 1/2 of its maximum.

    Args:
      density: [...] per side of the cube, finite, some of it positive.

    Returns:
      A level between 0 and the maximum.

    Raises:
      ValueError: no positive density.
    """
    highest = float(np.max(density, initial=0.0))
    if not highest > 0:
        raise ValueError("the density is 0 everywhere: there is no surface at any level")
    low, high = np.log(2.0) / HAZE_LENGTH, min(np.log(2.0) / SKIN_LENGTH, highest / 2)
    if high < 2 * low:
        low, high = highest / 20, highest / 2
    levels = np.geomspace(low, high, _CANDIDATES)
    enclosed = np.log(_count_above(density, levels))
    change = enclosed[: -2 * _WINDOW] - enclosed[2 * _WINDOW :]
    flattest = np.flatnonzero(change <= change.min() + 1e-9)
    return float(levels[_WINDOW + flattest[len(flattest) // 2]])


def _count_above(density: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """How many densities exceed each of the ascending levels, at least 1 each."""
    values = density[density > levels[0]]
    below = np.histogram(values, bins=[*levels, np.inf])[0]
    return np.maximum(np.cumsum(below[::-1])[::-1], 1)
