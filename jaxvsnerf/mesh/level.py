"""The density at which a field's surface is drawn."""

from __future__ import annotations

import numpy as np

from jaxvsnerf.errors import InputError

# A level is looked for among the densities that swallow half of the light within these
# lengths, in sides of the object's cube: a haze, and a skin half a hundredth thick.
HAZE_LENGTH, SKIN_LENGTH = 0.1, 0.005
_CANDIDATES = 33
_WINDOW = 4
# Share of the volume by which a level may be less steady than the steadiest one.
_TOLERANCE = 0.05


def auto_level(density: np.ndarray) -> float:
    """The density threshold whose solid changes least when the threshold moves.

    Choice: a trained field holds a haze, a solid, and a band between them; any level
    inside the band encloses nearly the same volume. Among 33 levels in geometric steps
    this finds the one around which that volume is steadiest, and from there goes up while
    it stays nearly as steady: light is stopped behind the foot of a density's slope, so
    that low levels draw a swollen body. Bounds come from what light does, not from the
    lattice, so the level hardly changes with the resolution. A field too thin for these
    bounds is searched between 1/20 and 1/2 of its maximum.

    Args:
      density: [...] per side of the cube, finite, some of it positive.

    Returns:
      A level between 0 and the maximum.

    Raises:
      ValueError: no positive density.
    """
    highest = float(np.max(density, initial=0.0))
    if not highest > 0:
        raise InputError("the density is 0 everywhere: there is no surface at any level")
    low, high = np.log(2.0) / HAZE_LENGTH, min(np.log(2.0) / SKIN_LENGTH, highest / 2)
    if high < 2 * low:
        low, high = highest / 20, highest / 2
    levels = np.geomspace(low, high, _CANDIDATES)
    enclosed = np.log(_count_above(density, levels))
    change = enclosed[: -2 * _WINDOW] - enclosed[2 * _WINDOW :]
    chosen = int(change.argmin())
    while chosen + 1 < len(change) and change[chosen + 1] <= change.min() + _TOLERANCE:
        chosen += 1
    return float(levels[_WINDOW + chosen])


def _count_above(density: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """How many densities exceed each of the ascending levels, at least 1 each."""
    values = density[density > levels[0]]
    below = np.histogram(values, bins=[*levels, np.inf])[0]
    return np.maximum(np.cumsum(below[::-1])[::-1], 1)
