"""Counts what a reader refuses of seeded damages, and sees that nothing but refusals are raised."""

import numpy as np

from jaxvsnerf.errors import InputError, MissingExtra


def refusals(path, read, kind, count):
    """Damages a file `count` times; how often it was refused, and the values of accepted ones.

    Args:
      path: the file, which is whole again afterwards.
      read: () -> the values that the file holds.
      kind: (bytes, rng) -> name of the damage and damaged bytes.
      count: number of damages.

    Returns:
      The number of refusals, and (whether the bytes were the same, values) of each other damage.
    """
    whole, refused, accepted = path.read_bytes(), 0, []
    read()
    for seed in range(count):
        name, data = kind(whole, np.random.default_rng(seed))
        path.write_bytes(data)
        try:
            accepted.append((data == whole, read()))
        except (InputError, OSError) as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error), (name, seed, error)
            assert not isinstance(error, MissingExtra)
        except Exception as error:  # which damage it was
            error.add_note(f"{name}, seed {seed}")
            raise
    path.write_bytes(whole)
    return refused, accepted
