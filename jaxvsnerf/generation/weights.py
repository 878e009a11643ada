"""Weights of a generator in a folder: orbax's arrays, and weights.json that says what they are."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.generation.networks import MODELS, Model, param_shapes
from jaxvsnerf.generation.spec import GeneratorSpec
from jaxvsnerf.system.files import check_room, write_text
from jaxvsnerf.types import Params

FORMAT_VERSION = 1
DTYPES = ("float32", "bfloat16")
# Where the published weights lie, by what the READMEs of their repositories say.
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
    """A file that weights came from: its name, size in bytes and SHA-256."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class WeightsInfo:
    """What weights.json says.

    Attributes:
      model: `syncdreamer` or `zero123`.
      spec: the model's sizes.
      dtype: `float32` or `bfloat16`, as stored.
      sources: the files that the weights came from.
    """

    model: Model
    spec: GeneratorSpec
    dtype: str
    sources: tuple[Source, ...]


def source_of(path: Path) -> Source:
    """Name, size and checksum of a file; reads all of it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Source(path.name, path.stat().st_size, digest)


def save_weights(folder: Path, info: WeightsInfo, params: Params, overwrite: bool = False) -> None:
    """Writes a folder of weights, whole or not at all.

    Args:
      folder: made; its parent exists or is made.
      info: what they are; their leaves have its dtype.
      params: JAX arrays, best on the host: of NumPy's orbax makes a copy first.
      overwrite: whether weights that are there already are replaced.

    Raises:
      ValueError: something is there already, see `check_free`.
      OSError: the disk is full or not writable; what was there stays.
    """
    import orbax.checkpoint as ocp

    check_free(folder, overwrite)
    described = {"format_version": FORMAT_VERSION, **asdict(info)}
    with _replacing_folder(folder) as temporary:
        check_room(temporary, sum(leaf.nbytes for leaf in jax.tree.leaves(params)))
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(temporary.absolute() / "params", params)
        write_text(temporary / "weights.json", json.dumps(described, indent=2) + "\n")


def check_free(folder: Path, overwrite: bool) -> None:
    """Raises ValueError where weights cannot go to the folder, before they are read."""
    if not folder.exists():
        return
    if not (folder / "weights.json").is_file():
        if folder.is_dir() and not any(folder.iterdir()):
            return
        raise InputError(f"{folder} is there and holds no weights; expected a new folder's name")
    if not overwrite:
        raise InputError(f"{folder} holds weights already; take another folder or --overwrite")


def read_info(folder: Path, model: Model | None = None) -> WeightsInfo:
    """What a folder holds.

    Args:
      folder: of `save_weights`.
      model: the one that is needed, None for any.

    Raises:
      FileNotFoundError: no weights there; says where to get them.
      ValueError: of another format version or model, or no weights.json of ours.
    """
    path = folder / "weights.json"
    if not path.is_file():
        raise MissingFile(f"no weights in {folder}: {missing_message(model, folder)}")
    try:
        found = json.loads(path.read_text())
        version = found.pop("format_version")
        if version == FORMAT_VERSION:
            info = _parse(found)
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected what the converter writes, got {error!r}") from error
    if version != FORMAT_VERSION:
        raise InputError(
            f"{path}: expected format {FORMAT_VERSION}, got {version}; use the version of "
            "jaxvsnerf that wrote it, or convert the checkpoint again"
        )
    if model not in (None, info.model):
        raise InputError(
            f"{folder} holds weights of {info.model}, expected those of {model}: "
            f"{missing_message(model, folder)}"
        )
    return info


def missing_message(model: Model | None, folder: Path) -> str:
    """What to download, and the command that makes a folder of it."""
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
    """Reads the parameters straight to where they are used.

    Args:
      folder: of `save_weights`.
      info: what `read_info` says of it.
      dtype: of the parameters returned, `float32` or `bfloat16`.
      devices: each gets a copy; None is the first local one.

    Returns:
      The parameters as device arrays.

    Raises:
      ValueError: they are damaged, or not of the spec.
    """
    import orbax.checkpoint as ocp

    mesh = jax.sharding.Mesh(np.asarray(devices or jax.local_devices()[:1]), ("samples",))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    target = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.dtype(dtype), sharding=everywhere),
        param_shapes(info.spec, info.model),
    )
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            return checkpointer.restore(folder.absolute() / "params", target)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - storage raises what it likes
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{folder} holds no whole weights of {info.model} ({first}); convert them again"
        ) from error


def _parse(found: dict[str, Any]) -> WeightsInfo:
    spec = {k: tuple(v) if isinstance(v, list) else v for k, v in found.pop("spec").items()}
    sources = tuple(Source(**one) for one in found.pop("sources"))
    info = WeightsInfo(spec=GeneratorSpec(**spec), sources=sources, **found)
    if info.model not in MODELS or info.dtype not in DTYPES:
        raise KeyError(f"{info.model} in {info.dtype}")
    return info


@contextlib.contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}")
    old = temporary.with_name(temporary.name + ".old")
    temporary.mkdir()
    try:
        yield temporary
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
