"""Checkpoints of a run, stored by orbax with one manager per stage."""

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
from jaxvsnerf.system.checksums import array_checksums, json_checksum
from jaxvsnerf.system.durable import sync_folder, sync_tree
from jaxvsnerf.system.files import check_room, naming
from jaxvsnerf.system.late import drop_late_answers
from jaxvsnerf.system.plain_path import plain_path
from jaxvsnerf.types import TrainState

FORMAT_VERSION = 3
KEEP = 2
# Name of the checksum of a checkpoint's facts, in which the checksums of its arrays lie.
CHECKSUM = "checksum"
UNCHECKED = {"format_version", "stage", "step"}  # facts of checkpoints without checksums

# Runs in one process write and read checkpoints one after another, since the verbosity of logs,
# lowered meanwhile, is shared by the whole process.
_STORAGE = threading.Lock()


def load_storage() -> None:
    """Imports orbax ahead of the first checkpoint, since the import takes a second."""
    importlib.import_module("orbax.checkpoint")


class BrokenCheckpoint(StorageError):
    """A checkpoint exists but cannot be read."""


class Checkpoints:
    """The checkpoints of one run's stages, under `folder`/<stage>/<step>/.

    Checkpoints are written atomically, with a checksum of each array that is compared when they
    are read; those of older versions have none. The last checkpoint of every stage is kept, since
    later commands render each stage. Call `close` when done.

    Args:
      folder: folder of the checkpoints; created by the first save.
      stage_names: names of the stages, in order.
    """

    def __init__(self, folder: Path, stage_names: tuple[str, ...]):
        self.folder = Path(folder)
        self.stage_names = stage_names
        self._managers: dict[str, Any] = {}
        self._paths = contextlib.ExitStack()
        self._plain: Path | None = None

    def _manager(self, stage: str):
        import orbax.checkpoint as ocp

        if stage not in self._managers:
            # Any process may open checkpoints alone, without waiting for the others.
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
            self._plain = self._plain or self._paths.enter_context(plain_path(self.folder))
            folder = self._plain / stage
            folder.mkdir(parents=True, exist_ok=True)
            self._managers[stage] = ocp.CheckpointManager(folder, options=options)
        return self._managers[stage]

    def steps(self, stage: str) -> list[int]:
        """Saved steps of a stage, ascending; creates no folder."""
        if not (self.folder / stage).is_dir():
            return []
        return sorted(self._manager(stage).all_steps())

    def save(self, stage: str, state: TrainState) -> None:
        """Saves a state as the checkpoint of its step, unless that checkpoint exists.

        Raises:
          StorageError: the disk is full or not writable; earlier checkpoints stay.
        """
        import orbax.checkpoint as ocp

        step = int(state.step)
        if step in self.steps(stage):
            return
        # Host arrays, so that a checkpoint can be read on any number of devices of any kind.
        host = jax.device_get(state)
        meta = {"format_version": FORMAT_VERSION, "stage": stage, "step": step}
        meta["arrays"] = array_checksums(host)
        meta[CHECKSUM] = json_checksum(meta)
        args = ocp.args.Composite(state=ocp.args.StandardSave(host), meta=ocp.args.JsonSave(meta))
        try:
            # First, since several threads would report a disk that fills up during the write.
            check_room(self.folder.parent, sum(leaf.nbytes for leaf in jax.tree.leaves(host)))
            with _without_thread_logs():
                self._manager(stage).save(step, args=args)
                # Orbax waits for the disk with the arrays alone. The checkpoint before, which
                # stays, has been waited for.
                sync_tree(self.folder / stage / str(step))
                sync_folder(self.folder / stage)
        except Exception as error:  # noqa: BLE001 - orbax raises errors of many types
            self._remove_partial(stage)
            raise StorageError(
                f"the checkpoint of {stage} at step {step} could not be written to "
                f"{self.folder / stage} ({_first_line(error)}); last good checkpoint: "
                f"{self.last()}. Make room or rights, then give the same command again"
            ) from error

    def restore(self, stage: str, step: int, template: TrainState) -> TrainState:
        """Reads one checkpoint.

        Args:
          stage: name of the stage.
          step: step of the checkpoint.
          template: a state of the stage or the state's shapes, which differ between stages.

        Returns:
          The state as numpy arrays.

        Raises:
          BrokenCheckpoint: the checkpoint cannot be read.
          InputError: the checkpoint has another format version.
        """
        path = self.folder / stage / str(step)
        drop_late_answers()
        try:
            with naming(path), _without_thread_logs():
                meta, state = self._read(stage, step, template)
        except (MemoryError, PermissionError):
            raise
        except Exception as error:  # noqa: BLE001 - orbax raises errors of many types
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
        """Reads (meta, state); the state is None for another format version."""
        import orbax.checkpoint as ocp

        manager = self._manager(stage)
        meta = manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
        _check_meta(meta, stage, step)
        if meta["format_version"] != FORMAT_VERSION:
            return meta, None
        empty = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), template)
        args = ocp.args.Composite(state=ocp.args.StandardRestore(empty))
        state = manager.restore(step, args=args)["state"]
        if "arrays" in meta:
            _check_arrays(meta["arrays"], array_checksums(state))
        return meta, state

    def restore_newest(
        self, templates: Callable[[str], TrainState]
    ) -> tuple[str, TrainState] | None:
        """Reads the newest readable checkpoint: the last step of the last stage with checkpoints.

        A checkpoint that cannot be read is moved to `broken/` with a warning, and the previous
        one is read instead. What a killed process was writing is removed: the caller alone may
        write checkpoints of the run.

        Args:
          templates: stage name -> template of the stage's state, see `restore`.

        Returns:
          (stage, state), or None if there are no checkpoints.

        Raises:
          BrokenCheckpoint: there are checkpoints, but none can be read.
          InputError: the checkpoint has another format version.
        """
        broken = 0
        for stage in reversed(self.stage_names):
            self._remove_partial(stage)
            for step in reversed(self.steps(stage)):
                try:
                    return stage, self.restore(stage, step, templates(stage))
                except BrokenCheckpoint as error:
                    broken += 1
                    aside = self._set_aside(stage, step)
                    logging.warning("%s; moved to %s, reading the previous one", error, aside)
        if broken:
            raise BrokenCheckpoint(
                f"none of the {broken} checkpoints could be read; all were moved to "
                f"{self.folder / 'broken'}. The same command now starts from the beginning"
            )
        return None

    def _remove_partial(self, stage: str) -> None:
        """Removes checkpoints that were not written to their end."""
        for partial in (self.folder / stage).glob("*.*tmp*"):
            shutil.rmtree(partial, ignore_errors=True)

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
        """Names the newest checkpoint, like 'stage1 step 500'; 'none' without checkpoints."""
        for stage in reversed(self.stage_names):
            if steps := self.steps(stage):
                return f"{stage} step {steps[-1]}"
        return "none"

    def close(self) -> None:
        """Closes orbax's managers."""
        for manager in self._managers.values():
            manager.close()
        self._managers.clear()
        self._paths.close()
        self._plain = None


@contextlib.contextmanager
def _without_thread_logs() -> Iterator[None]:
    """Silences the logs of storage threads, whose errors are raised here anyway."""
    with _STORAGE:
        verbosity = logging.get_verbosity()
        logging.set_verbosity(logging.FATAL)
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)


def _check_meta(meta: Any, stage: str, step: int) -> None:
    """Raises BrokenCheckpoint for facts that are damaged or of another checkpoint."""
    if not isinstance(meta, dict) or (CHECKSUM not in meta and set(meta) != UNCHECKED):
        raise BrokenCheckpoint("its facts are damaged")
    facts = {name: value for name, value in meta.items() if name != CHECKSUM}
    if CHECKSUM in meta and meta[CHECKSUM] != json_checksum(facts):
        raise BrokenCheckpoint("its facts do not have their checksum")
    if (meta["stage"], meta["step"]) != (stage, step):
        raise BrokenCheckpoint(f"it says that it is {meta['stage']} step {meta['step']}")


def _check_arrays(kept: dict[str, str], found: dict[str, str]) -> None:
    """Raises BrokenCheckpoint if arrays are other ones than were saved."""
    wrong = [name for name in {**kept, **found} if kept.get(name) != found.get(name)]
    if wrong:
        raise BrokenCheckpoint(
            f"{len(wrong)} of {len(kept)} arrays do not have their checksum, {wrong[0]} among them"
        )


def _first_line(error: Exception) -> str:
    """The first line of an error, without the specification that TensorStore appends."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line.split(" [tensorstore_spec", 1)[0]
