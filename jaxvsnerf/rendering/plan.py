"""Sizes of chunks and micro-batches, derived from the device's memory."""

from __future__ import annotations

import os

import jax

# Choice: share of a device's memory for the largest tensors; parameters, pictures and the
# compiler's temporaries take the rest.
SHARE = 0.7
# Most elements of a tensor: one of 2^31 in a matrix product crashed XLA on a GPU.
MAX_ELEMENTS = 2**28
# On a CPU, tensors that fit the caches are faster than larger ones.
MAX_ELEMENTS_CPU = 2**23
# Choice: bytes of memory per element of a training step's largest tensor [samples, views, width].
# Training on an H200 peaked at 30 bytes per element (hierarchical sampling, 4.1 GB); the rest is
# margin.
TRAIN_BYTES = 80
# The same for rendering, which keeps no activations. A process that trained a hash grid and
# rendered blocks of 2^28 elements peaked at 3.4 GB, 13 bytes per element.
RENDER_BYTES = 24


def memory_budget(device: jax.Device) -> int:
    """Bytes of memory that one program may use on `device`.

    A device that does not report its memory, like a CPU, gets an equal share of the host's.
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
    """Most elements of the largest tensor of a rendering."""
    if device.platform == "cpu":
        return MAX_ELEMENTS_CPU
    return min(MAX_ELEMENTS, memory_budget(device) // RENDER_BYTES)


def power_of_two(number: float, least: int, most: int) -> int:
    """The largest power of two up to `number`, clipped to a range.

    Args:
      number: upper bound.
      least: smallest result, a power of two.
      most: largest result, a power of two.
    """
    return min(max(1 << max(int(number).bit_length() - 1, 0), least), most)


def more_parts(local: int, parts: int, used: int, budget: int) -> int:
    """Number of parts with which a step fits, once the compiler has said what the step uses.

    Args:
      local: rays per view on the device.
      parts: parts of the compiled step.
      used: bytes that this step takes.
      budget: bytes of memory, see `memory_budget`.

    Returns:
      `parts` if the step fits, or if each ray is a part already; else a larger divisor of `local`,
      as if the memory shrank with the parts.
    """
    if used <= budget:
        return parts
    wanted = max(-(-parts * used // budget), parts + 1)
    return next((n for n in range(wanted, local) if local % n == 0), local)


def micro_batches(local: int, elements: int, budget: int) -> int:
    """Number of parts in which a device computes the gradient of its rays.

    Args:
      local: rays per view on the device.
      elements: elements of the step's largest tensor for all rays at once.
      budget: bytes of memory, see `memory_budget`.

    Returns:
      The smallest divisor of `local` whose parts fit the budget; `local` if no part fits.
    """
    most = min(MAX_ELEMENTS, max(budget // TRAIN_BYTES, 1))
    return next(
        parts
        for parts in range(1, local + 1)
        if local % parts == 0 and (elements <= most * parts or parts == local)
    )
