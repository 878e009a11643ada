"""Folders of generator weights: arrays stored by orbax, described by weights.json."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import DamagedFile, InputError, MissingFile, StorageError, describe
from jaxvsnerf.generation.networks import MODELS, Model, param_shapes
from jaxvsnerf.generation.spec import GeneratorSpec
from jaxvsnerf.system.checksums import file_checksums, json_checksum
from jaxvsnerf.system.durable import sync_folder, sync_tree
from jaxvsnerf.system.files import check_room, naming, write_text
from jaxvsnerf.system.late import drop_late_answers
from jaxvsnerf.system.plain_path import plain_path
from jaxvsnerf.system.records import fields, items, maybe, named, one_of, read_record, text, whole
from jaxvsnerf.system.temporary import remove, temporary
from jaxvsnerf.types import Params

FORMAT_VERSION = 1
CHECKSUM = "checksum"  # of all else in weights.json
DTYPES = ("float32", "bfloat16")
MEND = "copy the folder of weights again, or convert the checkpoint again"
_WIDTH = whole(1, 2**20)
_INFO = fields(
    {
        "model": one_of(*MODELS),
        "dtype": one_of(*DTYPES),
        "spec": fields(
            {
                one.name: items(_WIDTH, 4) if one.name == "volume_widths" else _WIDTH
                for one in dataclasses.fields(GeneratorSpec)
            }
        ),
        "sources": items(fields({"file": text, "bytes": whole(0), "sha256": text})),
    },
    {"files": maybe(named(text)), CHECKSUM: text},
)
# Where the published weights are, according to the READMEs of their repositories.
DOWNLOADS = {
    "syncdreamer": (
        "syncdreamer-pretrain.ckpt (5.2 GB), linked under 'Download checkpoints' in the README of "
        "https://github.com/liuyuan-pal/SyncDreamer"
    ),
    "zero123": (
        "105000.ckpt (https://huggingface.co/cvlab/zero123-weights) or zero123-xl.ckpt "
        "(https://zero123.cs.columbia.edu/assets/zero123-xl.ckpt), about 15 GB each"
    ),
}


@dataclass(frozen=True)
class Source:
    """A file that weights were converted from: name, size in bytes and SHA-256."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class WeightsInfo:
    """The contents of weights.json.

    Attributes:
      model: `syncdreamer` or `zero123`.
      spec: the model's sizes.
      dtype: of the stored parameters, `float32` or `bfloat16`.
      sources: the files that the weights were converted from.
      files: checksums of the files that hold the parameters, None for an older folder.
    """

    model: Model
    spec: GeneratorSpec
    dtype: str
    sources: tuple[Source, ...]
    files: dict[str, str] | None = field(default=None, compare=False)


def source_of(path: Path) -> Source:
    """Name, size and checksum of a file; reads the whole file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Source(path.name, path.stat().st_size, digest)


def save_weights(folder: Path, info: WeightsInfo, params: Params, overwrite: bool = False) -> None:
    """Writes a folder of weights atomically.

    Args:
      folder: the folder to write; missing parents are created.
      info: description of the weights.
      params: parameters of dtype `info.dtype`, JAX arrays preferably on the host (orbax would
        copy NumPy arrays first).
      overwrite: whether existing weights are replaced.

    Raises:
      InputError: the folder is in use, see `check_free`.
      StorageError: the weights could not be written; existing weights stay.
    """
    import orbax.checkpoint as ocp

    check_free(folder, overwrite)
    with _replacing_folder(folder) as made:
        try:
            check_room(made, sum(leaf.nbytes for leaf in jax.tree.leaves(params)))
            with plain_path(made) as plain, ocp.StandardCheckpointer() as checkpointer:
                checkpointer.save(plain / "params", params)
            info = replace(info, files=file_checksums(made / "params"))
            # As JSON has it, lists in place of tuples.
            told = json.loads(json.dumps({"format_version": FORMAT_VERSION, **asdict(info)}))
            told[CHECKSUM] = json_checksum(told)
            write_text(made / "weights.json", json.dumps(told, indent=2) + "\n")
            sync_tree(made)
        except Exception as error:  # noqa: BLE001 - orbax's errors have no common base
            first = describe(error).splitlines()[0]
            raise StorageError(f"{folder}: the weights could not be written ({first})") from error


def check_free(folder: Path, overwrite: bool) -> None:
    """Checks that weights may be written to a folder, before any are read.

    Args:
      folder: the folder to write.
      overwrite: whether existing weights may be replaced.

    Raises:
      InputError: the folder holds other files, or weights while `overwrite` is False.
    """
    if not folder.exists():
        return
    if not (folder / "weights.json").is_file():
        if folder.is_dir() and not any(folder.iterdir()):
            return
        raise InputError(f"{folder} exists and holds no weights; expected a new folder's name")
    if not overwrite:
        raise InputError(f"{folder} holds weights already; take another folder or --overwrite")


def read_info(folder: Path, model: Model | None = None) -> WeightsInfo:
    """Reads the description of a folder of weights.

    Args:
      folder: written by `save_weights`.
      model: the required model, or None for any.

    Raises:
      MissingFile: the folder holds no weights; the message says where to download them.
      InputError: weights.json is of another format version or model.
      DamagedFile: weights.json is not what the converter writes.
    """
    path = folder / "weights.json"
    if not path.is_file():
        raise MissingFile(f"no weights in {folder}: {missing_message(model, folder)}")
    version = read_record(path, fields({"format_version": whole(0)}), MEND)["format_version"]
    if version != FORMAT_VERSION:
        raise InputError(
            f"{path}: expected format {FORMAT_VERSION}, got {version}; use the version of "
            "jaxvsnerf that wrote it, or convert the checkpoint again"
        )
    found = read_record(path, _INFO, MEND)
    facts = {name: value for name, value in found.items() if name != CHECKSUM}
    if found.get(CHECKSUM) != (json_checksum(facts) if "files" in found else None):
        raise DamagedFile(path, "expected the values that its checksum is of, got others", MEND)
    info = _parse(found)
    if model not in (None, info.model):
        raise InputError(
            f"{folder} holds weights of {info.model}, expected those of {model}: "
            f"{missing_message(model, folder)}"
        )
    return info


def missing_message(model: Model | None, folder: Path) -> str:
    """Says which file to download and which command converts the file to a folder of weights."""
    wanted = MODELS if model is None else (model,)
    files = "; ".join(f"for {name} {DOWNLOADS[name]}" for name in wanted)
    return (
        f"download {files}; then `python -m jaxvsnerf.convert --from=FILE --to={folder}` (needs "
        "pip install 'jaxvsnerf[convert]') makes the folder, of half the file's size with "
        "--dtype=bfloat16"
    )


def load_weights(
    folder: Path, info: WeightsInfo, dtype: str, devices: Sequence[jax.Device] | None = None
) -> Params:
    """Reads parameters from a folder directly to devices.

    Args:
      folder: written by `save_weights`.
      info: the folder's description, see `read_info`.
      dtype: of the parameters returned, `float32` or `bfloat16`.
      devices: each receives a copy; None means the first local device.

    Returns:
      The parameters as device arrays.

    Raises:
      InputError: the weights are damaged, or do not fit the spec.
    """
    import orbax.checkpoint as ocp

    mesh = jax.sharding.Mesh(np.asarray(devices or jax.local_devices()[:1]), ("samples",))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    drop_late_answers()
    try:
        # The files of an older folder have no checksums. What was read here comes from memory next.
        if info.files is not None and info.files != file_checksums(folder / "params"):
            raise StorageError("its files do not have their checksums")
        target = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.dtype(dtype), sharding=everywhere),
            param_shapes(info.spec, info.model),
        )
        with plain_path(folder) as plain, ocp.StandardCheckpointer() as checkpointer:
            return checkpointer.restore(plain / "params", target)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - orbax raises errors of many types
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{folder} holds no whole weights of {info.model} ({first}); convert them again"
        ) from error


def _parse(found: dict[str, Any]) -> WeightsInfo:
    """The description in a checked weights.json."""
    spec, sources = found["spec"], found["sources"]
    widths = {one.name: spec[one.name] for one in dataclasses.fields(GeneratorSpec)}
    widths["volume_widths"] = tuple(widths["volume_widths"])
    return WeightsInfo(
        model=found["model"],
        spec=GeneratorSpec(**widths),
        dtype=found["dtype"],
        sources=tuple(Source(one["file"], one["bytes"], one["sha256"]) for one in sources),
        files=found.get("files"),
    )


@contextlib.contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder that replaces `folder` if the block raises nothing.

    The old folder stands aside under a name of its own, which no other process takes for a
    temporary one: the next call puts back what a process that was killed here left aside.
    """
    home, old = folder.parent, folder.with_name(f".{folder.name}.replaced")
    home.mkdir(parents=True, exist_ok=True)
    if old.exists() and not folder.exists():
        old.rename(folder)
    with temporary(home) as made:
        try:
            with naming(folder, made, old):
                made.mkdir()
                yield made
                if folder.exists():
                    folder.rename(old)
                made.rename(folder)
                sync_folder(home)
        finally:
            if old.exists() and not folder.exists():
                old.rename(folder)
            remove(old)
