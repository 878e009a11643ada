"""Chooses the density level at which a field's surface is extracted."""

from __future__ import annotations

import numpy as np

from jaxvsnerf.errors import InputError

# Range of the search: densities that absorb half of the light within these lengths, in sides of
# the object's cube. The first is a haze, the second a skin 0.005 thick.
HAZE_LENGTH, SKIN_LENGTH = 0.1, 0.005
_CANDIDATES = 33
_WINDOW = 4
# Tolerance on the relative change of volume, above that of the steadiest level.
_TOLERANCE = 0.05


def auto_level(density: np.ndarray) -> float:
    """Finds the density level at which the enclosed volume changes least with the level.

    Choice: a trained field has a haze, a solid and a band of densities between them; any level
    inside the band encloses nearly the same volume. Among 33 levels in geometric steps, the
    search takes the one of steadiest volume, then goes up while the volume is nearly as steady:
    light stops behind the foot of the density's slope, so low levels give a swollen body. The
    bounds are absorption lengths, not lattice cells, so the level hardly depends on the
    resolution. For a field too thin for these bounds, levels are between 1/20 and 1/2 of the
    maximum.

    Args:
      density: [...] per side of the cube, finite, some of it positive.

    Returns:
      A level between 0 and the maximum.

    Raises:
      InputError: no positive density.
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
    """Number of densities above each of the ascending levels, at least 1."""
    values = density[density > levels[0]]
    below = np.histogram(values, bins=[*levels, np.inf])[0]
    return np.maximum(np.cumsum(below[::-1])[::-1], 1)
