"""Coordination of several processes that train one run, on one or more machines.

All processes run the same command with the same settings; only the first touches the run's
folder. Computations on all devices need every process at the same point of the program. An error
or a request to stop in one process must therefore reach all before any continues: `together` and
`anywhere` are the points where processes agree. With one process these functions do nothing.
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
# Processes that end in agreement reach the shutdown within moments. A process that waits longer
# ended by an error that the others do not know; the timeout then ends all of them.
SHUTDOWN_SECONDS = 30


def join(environment: Mapping[str, str]) -> None:
    """Joins this process to the others described by the environment; call before using a device.

    Args:
      environment: environment variables of a launcher (JAX detects SLURM, Open MPI, TPU pods and
        Kubernetes), or ADDRESS, COUNT and INDEX, which take precedence.

    Raises:
      InputError: the environment describes no group of processes, or the processes differ in
        their number of devices.
      StorageError: the other processes were not reached.
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
    # JAX has installed its own SIGTERM handler, which would swallow the signal; a run stops by the
    # previous handler.
    signal.signal(signal.SIGTERM, handler)
    if jax.device_count() != jax.process_count() * jax.local_device_count():
        raise InputError(
            f"--distributed: expected as many devices in each of {jax.process_count()} processes, "
            f"got {jax.local_device_count()} in this one and {jax.device_count()} in all"
        )


def leave() -> None:
    """Ends the joint computation: afterwards every process may exit at any time."""
    jax.distributed.shutdown()


def is_first() -> bool:
    """Whether this is the first process, the only one that writes and prints."""
    return jax.process_index() == 0


def all_devices() -> list[jax.Device]:
    """The devices of all processes, sorted by process."""
    return sorted(jax.devices(), key=lambda device: (device.process_index, device.id))


@contextlib.contextmanager
def together() -> Iterator[None]:
    """A block that fails in all processes if it fails in one.

    The block must not wait for other processes.

    Raises:
      OtherProcessFailed: another process failed; the message is that of the first such process.
    """
    if jax.process_count() == 1:
        yield
        return
    failure = None
    try:
        yield
    except BaseException as error:  # the other processes wait for this one in any case
        failure = error
    texts = _gather_texts("" if failure is None else describe(failure))
    if failure is not None:
        raise failure
    if failed := [text for text in texts if text]:
        raise OtherProcessFailed(failed[0])


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """A block of joint computation; turns the loss of another process into a one-line error.

    Raises:
      StorageError: JAX's runtime failed while there are several processes.
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
    """Whether `flag` is set in any process; every process must call this."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.uint8(flag)).any())


def most(number: int) -> int:
    """The largest of all processes' numbers; every process must call this."""
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.process_allgather(np.int32(number)).max())


def from_first(tree):
    """Sends the first process's pytree of arrays to all, bit for bit.

    Other processes pass a pytree of the same shapes and dtypes, whose values are ignored.
    """
    if jax.process_count() == 1:
        return tree
    # As bytes: JAX broadcasts by a sum, which would turn -0.0 into 0.0.
    sent = jax.tree.map(lambda leaf: np.frombuffer(np.asarray(leaf).tobytes(), np.uint8), tree)
    return jax.tree.map(
        lambda leaf, got: np.frombuffer(got.tobytes(), leaf.dtype).reshape(leaf.shape),
        tree,
        multihost_utils.broadcast_one_to_all(sent),
    )


def check_same(text: str) -> None:
    """Checks that `text`, a description of the work, is equal in all processes.

    Raises:
      InputError: in every process, if texts differ.
    """
    if jax.process_count() == 1:
        return
    texts = _gather_texts(text)
    if others := [str(index) for index, other in enumerate(texts) if other != texts[0]]:
        raise InputError(
            "--distributed: expected the same command, settings and pictures in every "
            f"process, but they differ from the first process's in process {', '.join(others)}"
        )


def _gather_texts(text: str) -> list[str]:
    """Gathers every process's text, in the order of the processes."""
    data = np.frombuffer(text.encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.int32(len(data)))
    if not lengths.any():
        return [""] * len(lengths)
    padded = np.pad(data, (0, lengths.max() - len(data)))
    rows = multihost_utils.process_allgather(padded)
    return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]


def _check_address(address: str, listens: bool) -> None:
    """Checks an address, since JAX exits without a message on a wrong one.

    Raises:
      InputError: the address is not HOST:PORT, or the port is not free in the first process.
    """
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
