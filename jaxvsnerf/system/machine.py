"""Errors that say what the machine lacks: a device, memory, processes, open files."""

from __future__ import annotations

import errno

import jax

from jaxvsnerf.errors import InputError
from jaxvsnerf.system.installation import pip_line

try:
    import resource
except ImportError:  # Windows
    resource = None

# Bytes. With 2.0 GB XLA aborts, with 2.5 GB its errors can be told, with 3 GB the smoke run trains.
LEAST_ADDRESSES = 2.4e9
# The words of XLA, of C++ and of Python where memory or threads are used up.
NO_MEMORY = ("RESOURCE_EXHAUSTED", "bad_alloc", "out of memory", "Out of memory", "cannot allocate")
NO_THREADS = ("can't start new thread", "Resource temporarily unavailable")
MEMORY_MEND = (
    "end other programs, raise the limit (`ulimit -v`, the job's memory), or take smaller pictures "
    "(--config.data.downscale=2), fewer rays a step or fewer views"
)
LIMITS = {
    errno.EAGAIN: "no more processes or threads can be started; raise the limit `ulimit -u`",
    errno.EMFILE: "too many files are open; raise the limit `ulimit -n` to 1024",
    errno.ENFILE: "too many files are open on this machine; end other programs",
}


def check_addresses() -> None:
    """Refuses a limit of addresses at which XLA's threads would end the process.

    Raises:
      InputError: the limit `ulimit -v` is below LEAST_ADDRESSES.
    """
    if resource is None:
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_ADDRESSES:
        raise InputError(
            f"out of memory: this process may use {limit / 1e9:.1f} GB of addresses (`ulimit -v`), "
            f"and JAX reserves {LEAST_ADDRESSES / 1e9:.1f} GB; raise the limit: ulimit -v 4000000"
        )


def machine_problem(error: BaseException) -> str:
    """What the machine lacks, and the mend, if that is the reason of an error; else ''."""
    text = str(error)
    number = error.errno if isinstance(error, OSError) else None
    if (
        isinstance(error, MemoryError)
        or number == errno.ENOMEM
        or any(words in text for words in NO_MEMORY)
    ):
        first = (text.strip() or type(error).__name__).splitlines()[0]
        return f"out of memory ({first[:200]}); {MEMORY_MEND}"
    if any(words in text for words in NO_THREADS):
        number = errno.EAGAIN
    if number in LIMITS:
        return LIMITS[number]
    return device_problem() if _is_of_devices(error) else ""


def _is_of_devices(error: BaseException) -> bool:
    """Whether an error was raised where JAX starts its platforms.

    JAX raises RuntimeError and AssertionError there, and AttributeError without assertions.
    """
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") == "jax._src.xla_bridge"


def device_problem() -> str:
    """Says which platform was asked for and which are there. JAX may not be used afterwards."""
    asked = jax.config.jax_platforms or "any platform"
    jax.config.update("jax_platforms", "")
    try:
        there = ", ".join(dict.fromkeys(device.platform for device in jax.devices()))
    except Exception:  # noqa: BLE001 - of many types, see `_is_of_devices`
        there = "cpu"
    gpu = {"cuda", "gpu"} & set(asked.split(","))
    mend = f", or install the GPU's side of JAX: {pip_line('gpu')}" if gpu else ""
    return (
        f"JAX_PLATFORMS={asked}: expected platforms that JAX finds on this machine, got {there}; "
        f"unset JAX_PLATFORMS{mend}; python -m jaxvsnerf.doctor examines the installation"
    )
