"""Several processes that train one run together, on one machine or on several.

All run the same command on the same settings; the first one alone touches the run's folder.
What is computed on all devices needs every process at the same place, so an error or a wish
to stop in one of them must be known to all before any goes on: `together` and `anywhere` are
the places where they agree. With one process all of this is nothing.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxvsnerf.errors import InputError, OtherProcessFailed, StorageError, describe

ADDRESS, COUNT, INDEX = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
# Processes that agreed to end arrive within moments; one that waits for longer stands alone,
# after an error that the others do not know of, and then all must end.
SHUTDOWN_SECONDS = 30


def join(environment: Mapping[str, str]) -> None:
    """Makes this process one of those that the environment tells of; before any device is used.

    Args:
      environment: a launcher's (SLURM, Open MPI, TPU pods and Kubernetes are found by JAX),
        or the three variables ADDRESS, COUNT and INDEX, which come first.

    Raises:
      ValueError: the environment tells of no processes, or of devices that differ in number.
      ConnectionError: the others were not reached.
    """
    address = environment.get(ADDRESS)
    count, index = _number(environment, COUNT), _number(environment, INDEX)
    plain = bool(address) and None not in (count, index)
    if address:
        _check_address(address, listens=index == 0)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        jax.distributed.initialize(
            coordinator_address=address,
            num_processes=count,
            process_id=index,
            cluster_detection_method="deactivate" if plain else None,
            shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        )
    except ValueError as error:
        raise InputError(
            "--distributed: expected a launcher that JAX knows (SLURM, Open MPI, a TPU pod, "
            f"Kubernetes) or, in the environment, {ADDRESS}=HOST:PORT of the first process, "
            f"{COUNT} and {INDEX} (0, 1 ...); got {_given(environment)}: {error}"
        ) from error
    except RuntimeError as error:
        raise StorageError(
            f"--distributed: the other processes were not reached ({describe(error)}); "
            f"got {_given(environment)}"
        ) from error
    # JAX has just taken SIGTERM for itself and would swallow it; a run has its own way to stop.
    signal.signal(signal.SIGTERM, handler)
    if jax.device_count() != jax.process_count() * jax.local_device_count():
        raise InputError(
            f"--distributed: expected as many devices in each of {jax.process_count()} processes, "
            f"got {jax.local_device_count()} in this one and {jax.device_count()} in all"
        )


def leave() -> None:
    """Parts the processes: from here on each may end when it likes, none computes with another."""
    jax.distributed.shutdown()


def is_first() -> bool:
    """Whether this is the process that writes and prints."""
    return jax.process_index() == 0


def all_devices() -> list[jax.Device]:
    """The devices of all processes, those of one process next to each other."""
    return sorted(jax.devices(), key=lambda device: (device.process_index, device.id))


@contextlib.contextmanager
def together() -> Iterator[None]:
    """A block that fails in all processes where it fails in one; nothing in it may wait for them.

    Raises:
      OtherProcessFailed: with the text of the first process that failed.
    """
    if jax.process_count() == 1:
        yield
        return
    failure = None
    try:
        yield
    except BaseException as error:  # the others wait for this one, however it ends
        failure = error
    texts = _gather_texts("" if failure is None else describe(failure))
    if failure is not None:
        raise failure
    if failed := [text for text in texts if text]:
        raise OtherProcessFailed(failed[0])


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """A block that computes with the other processes, and says in one line where it lost them.

    Raises:
      ConnectionError: an error of the runtime, while there are several processes.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        raise StorageError(
            "a device failed, or another process was lost "
            f"({describe(error).splitlines()[0]}); the same command goes on from the last "
            "checkpoint"
        ) from error


def anywhere(flag: bool) -> bool:
    """Whether `flag` is set in any process; all must ask."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.uint8(flag)).any())


def most(number: int) -> int:
    """The largest of all processes' numbers; all must ask."""
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.process_allgather(np.int32(number)).max())


def from_first(tree):
    """The first process's pytree of arrays, bit for bit; elsewhere only its shapes count."""
    if jax.process_count() == 1:
        return tree
    # As bytes: a sum, which a broadcast is, would turn -0.0 into 0.0.
    sent = jax.tree.map(lambda leaf: np.frombuffer(np.asarray(leaf).tobytes(), np.uint8), tree)
    return jax.tree.map(
        lambda leaf, got: np.frombuffer(got.tobytes(), leaf.dtype).reshape(leaf.shape),
        tree,
        multihost_utils.broadcast_one_to_all(sent),
    )


def check_same(text: str) -> None:
    """Raises ValueError in all processes unless `text`, what they work on, is one and the same."""
    if jax.process_count() == 1:
        return
    texts = _gather_texts(text)
    if others := [str(index) for index, other in enumerate(texts) if other != texts[0]]:
        raise InputError(
            "--distributed: expected the same command, settings and number of pictures in every "
            f"process, got others than the first one's in process {', '.join(others)}"
        )


def _gather_texts(text: str) -> list[str]:
    """Every process's text, in the order of the processes."""
    data = np.frombuffer(text.encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.int32(len(data)))
    if not lengths.any():
        return [""] * len(lengths)
    padded = np.pad(data, (0, lengths.max() - len(data)))
    rows = multihost_utils.process_allgather(padded)
    return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]


def _check_address(address: str, listens: bool) -> None:
    """Raises ValueError for what JAX would end on without a word."""
    port = address.rpartition(":")[2] if ":" in address else ""
    if not port.isdecimal():
        raise InputError(f"{ADDRESS}: expected HOST:PORT, got {address!r}")
    if listens:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", int(port)))
            except (OSError, OverflowError) as error:
                raise InputError(f"{ADDRESS}: expected a free port, {port}: {error}") from error


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    if text and not text.isdecimal():
        raise InputError(f"{name}: expected a whole number, got {text!r}")
    return int(text) if text else None


def _given(environment: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={environment.get(name, '')}" for name in (ADDRESS, COUNT, INDEX))
