"""How much at a time: chunks and micro-batches from the memory there is, not by hand."""

from __future__ import annotations

import os

import jax

# Choice: this share of a device's memory may fill; parameters, pictures and what the
# compiler adds take the rest.
SHARE = 0.7
# A tensor of 2^31 elements in one matrix product crashed XLA on a GPU.
MAX_ELEMENTS = 2**28
# What a CPU holds in its caches beats what fits its memory.
MAX_ELEMENTS_CPU = 2**23
# Choice: bytes allowed for every element of a step's largest tensor [samples, views, width].
# On an H200 a process that trained peaked at 30 (hierarchical, 4.1 GB) or less; the rest is
# margin.
TRAIN_BYTES = 80
# The same for a rendering, which keeps no activations. A process that trained a hash grid and
# rendered blocks of 2^28 elements peaked at 3.4 GB, 13 an element.
RENDER_BYTES = 24


def memory_budget(device: jax.Device) -> int:
    """Bytes that one program may use on `device`.

    Where the device does not say how much it has, as CPUs do not, the host's memory is
    shared among its devices.
    """
    stats = device.memory_stats() or {}
    if limit := stats.get("bytes_limit"):
        return int(SHARE * limit)
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        total = 4 << 30
    return int(SHARE * total / jax.local_device_count(device.platform))


def render_elements(device: jax.Device) -> int:
    """Elements that the largest tensor of a rendering may have."""
    if device.platform == "cpu":
        return MAX_ELEMENTS_CPU
    return min(MAX_ELEMENTS, memory_budget(device) // RENDER_BYTES)


def power_of_two(number: float, least: int, most: int) -> int:
    """The largest power of two up to `number`, within [least, most]."""
    return min(max(1 << max(int(number).bit_length() - 1, 0), least), most)


def micro_batches(local: int, elements: int, budget: int) -> int:
    """In how many parts a device computes the gradient of its rays.

    Args:
      local: rays of each view on the device.
      elements: of the step's largest tensor, all rays at once.
      budget: bytes, see `memory_budget`.

    Returns:
      The smallest divisor of `local` that fits, `local` itself where none does.
    """
    most = min(MAX_ELEMENTS, max(budget // TRAIN_BYTES, 1))
    return next(
        parts
        for parts in range(1, local + 1)
        if local % parts == 0 and (elements <= most * parts or parts == local)
    )
