"""Checkpoints of a run: one orbax manager a stage, the only user of orbax."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from jaxvsnerf.errors import InputError, StorageError
from jaxvsnerf.system.files import check_room
from jaxvsnerf.types import TrainState

FORMAT_VERSION = 3
KEEP = 2


# Runs in one process store and read one after another: the verbosity of the logs, lowered
# meanwhile, is the process's.
_STORAGE = threading.Lock()


def load_storage() -> None:
    """Imports orbax, which takes a second, so that the first checkpoint need not."""
    importlib.import_module("orbax.checkpoint")


class BrokenCheckpoint(OSError):
    """A checkpoint is there and cannot be read."""


class Checkpoints:
    """The checkpoints of the stages of one run under `folder`/<stage>/<step>/.

    A checkpoint appears whole or not at all. Every stage's last one stays, since later
    commands render each stage. Call `close` when done.
    """

    def __init__(self, folder: Path, stage_names: tuple[str, ...]):
        self.folder = Path(folder)
        self.stage_names = stage_names
        self._managers: dict[str, Any] = {}

    def _manager(self, stage: str):
        import orbax.checkpoint as ocp

        if stage not in self._managers:
            # Whichever process opens checkpoints, it waits for no other.
            index = jax.process_index()
            alone = ocp.options.MultiprocessingOptions(
                primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"p{index}"
            )
            options = ocp.CheckpointManagerOptions(
                max_to_keep=KEEP,
                enable_async_checkpointing=False,
                create=False,
                multiprocessing_options=alone,
            )
            folder = (self.folder / stage).absolute()
            folder.mkdir(parents=True, exist_ok=True)
            self._managers[stage] = ocp.CheckpointManager(folder, options=options)
        return self._managers[stage]

    def steps(self, stage: str) -> list[int]:
        """Steps saved for a stage, ascending; nothing is created by asking."""
        if not (self.folder / stage).is_dir():
            return []
        return sorted(self._manager(stage).all_steps())

    def save(self, stage: str, state: TrainState) -> None:
        """Saves a state; its step names the checkpoint.

        Raises:
          OSError: the disk is full or not writable; what was saved before stays.
        """
        import orbax.checkpoint as ocp

        step = int(state.step)
        if step in self.steps(stage):
            return
        meta = {"format_version": FORMAT_VERSION, "stage": stage, "step": step}
        # Host arrays, so that a checkpoint opens on any number of devices of any kind.
        host = jax.device_get(state)
        args = ocp.args.Composite(state=ocp.args.StandardSave(host), meta=ocp.args.JsonSave(meta))
        try:
            # First, since a disk that fills up halfway is reported by several threads.
            check_room(self.folder.parent, sum(leaf.nbytes for leaf in jax.tree.leaves(host)))
            with _without_thread_logs():
                self._manager(stage).save(step, args=args)
        except Exception as error:  # noqa: BLE001 - storage raises what it likes
            for partial in (self.folder / stage).glob(f"{step}.*tmp*"):
                shutil.rmtree(partial, ignore_errors=True)
            raise StorageError(
                f"the checkpoint of {stage} at step {step} could not be written "
                f"({_first_line(error)}); last good checkpoint: {self.last()}. Make room or "
                "rights, then give the same command again"
            ) from error

    def restore(self, stage: str, step: int, template: TrainState) -> TrainState:
        """Reads one checkpoint.

        Args:
          stage: which stage.
          step: which of its steps.
          template: a state of the stage, or its shapes; branches differ between stages.

        Returns:
          The state in numpy, whatever devices it was saved from.

        Raises:
          BrokenCheckpoint: it cannot be read.
          ValueError: another format version wrote it.
        """
        path = self.folder / stage / str(step)
        try:
            with _without_thread_logs():
                meta, state = self._read(stage, step, template)
        except (MemoryError, PermissionError):
            raise
        except Exception as error:  # noqa: BLE001 - storage raises what it likes
            raise BrokenCheckpoint(
                f"checkpoint {stage} step {step} ({path}) cannot be read ({_first_line(error)})"
            ) from error
        if state is None:
            raise InputError(
                f"{path}: expected checkpoint format {FORMAT_VERSION}, got "
                f"{meta.get('format_version')}; use the version of jaxvsnerf that wrote it"
            )
        return state

    def _read(self, stage: str, step: int, template: TrainState) -> tuple[dict, TrainState | None]:
        """(meta, state); no state where the format is another one."""
        import orbax.checkpoint as ocp

        manager = self._manager(stage)
        meta = manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
        if meta.get("format_version") != FORMAT_VERSION:
            return meta, None
        empty = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), template)
        args = ocp.args.Composite(state=ocp.args.StandardRestore(empty))
        return meta, manager.restore(step, args=args)["state"]

    def restore_newest(
        self, templates: Callable[[str], TrainState]
    ) -> tuple[str, TrainState] | None:
        """The newest readable checkpoint: the last stage that has one, its last step.

        One that cannot be read is moved to `broken/` with a warning, and the one before
        it is taken.

        Args:
          templates: stage name -> template of its state.

        Returns:
          (stage, state), or None where there is none.

        Raises:
          BrokenCheckpoint: there are some, and none of them can be read.
          ValueError: another format version wrote them.
        """
        broken = 0
        for stage in reversed(self.stage_names):
            for step in reversed(self.steps(stage)):
                try:
                    return stage, self.restore(stage, step, templates(stage))
                except BrokenCheckpoint as error:
                    broken += 1
                    aside = self._set_aside(stage, step)
                    logging.warning("%s; moved to %s, taking the one before", error, aside)
        if broken:
            raise BrokenCheckpoint(
                f"none of the {broken} checkpoints could be read; they lie in "
                f"{self.folder / 'broken'}. The same command now starts from the beginning"
            )
        return None

    def _set_aside(self, stage: str, step: int) -> Path:
        target = self.folder / "broken" / f"{stage}-{step}"
        if target.exists():
            shutil.rmtree(target)
        target.parent.mkdir(exist_ok=True)
        manager = self._managers.pop(stage)
        manager.close()
        shutil.move(self.folder / stage / str(step), target)
        return target

    def last(self) -> str:
        """'stage1 step 500', the newest checkpoint in words, or 'none'."""
        for stage in reversed(self.stage_names):
            if steps := self.steps(stage):
                return f"{stage} step {steps[-1]}"
        return "none"

    def close(self) -> None:
        """Releases the managers."""
        for manager in self._managers.values():
            manager.close()
        self._managers.clear()


@contextlib.contextmanager
def _without_thread_logs() -> Iterator[None]:
    """Silences what storage threads log of an error that is raised here anyway."""
    with _STORAGE:
        verbosity = logging.get_verbosity()
        logging.set_verbosity(logging.FATAL)
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
