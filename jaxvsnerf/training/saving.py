"""Checkpoints written in a thread, so that training goes on meanwhile."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import jax

from jaxvsnerf.training.checkpoints import Checkpoints
from jaxvsnerf.types import TrainState


class Saver:
    """Writes one checkpoint at a time; leaving its `with` block waits for the last one.

    What goes wrong is raised by the next call, and by `wait`.
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
        """Begins to save a state, which may be donated afterwards.

        Raises:
          OSError: the state before could not be written, see Checkpoints.save.
        """
        self.wait()
        self._pending = self._pool.submit(self._checkpoints.save, stage, jax.device_get(state))

    def wait(self) -> None:
        """Returns once everything is written.

        Raises:
          OSError: it could not be, see Checkpoints.save.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def last(self) -> str:
        """The newest checkpoint in words, see Checkpoints.last."""
        self.wait()
        return self._checkpoints.last()
