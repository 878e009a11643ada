"""Writes checkpoints in a thread while training continues."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import jax

from jaxvsnerf.training.checkpoints import Checkpoints
from jaxvsnerf.types import TrainState


class Saver:
    """Writes one checkpoint at a time; leaving the `with` block waits for the last.

    An error of the writing thread is raised by the next call of any method.
    """

    def __init__(self, checkpoints: Checkpoints):
        self._checkpoints = checkpoints
        self._pool = ThreadPoolExecutor(1)
        self._pending: Future | None = None

    def __enter__(self) -> Saver:
        return self

    def __exit__(self, *_) -> None:
        self._pool.shutdown()

    def save(self, stage: str, state: TrainState) -> None:
        """Begins to save a state, whose buffers may be donated afterwards.

        Raises:
          StorageError: the previous state could not be written, see `Checkpoints.save`.
        """
        self.wait()
        self._pending = self._pool.submit(self._checkpoints.save, stage, jax.device_get(state))

    def wait(self) -> None:
        """Waits until the last state is written.

        Raises:
          StorageError: the state could not be written, see `Checkpoints.save`.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def last(self) -> str:
        """Names the newest checkpoint, see `Checkpoints.last`."""
        self.wait()
        return self._checkpoints.last()
