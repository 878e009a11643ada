"""Reads downloaded weights, PyTorch archives or safetensors, one array at a time.

No code of a file is executed: from PyTorch's pickles only tensors and plain containers are
built (`weights_only=True`); a training checkpoint's other objects are skipped. A TorchScript
archive, which holds a program, is not given to PyTorch at all: see `torchscript`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.generation.torchscript import read_torchscript
from jaxvsnerf.system.extras import require
from jaxvsnerf.system.stand_ins import check_is_itself

PIP_LINE = "pip install 'jaxvsnerf[convert]'"
# Packages whose objects a training checkpoint holds beside its weights. Those objects are settings
# and bookkeeping; stand-ins that do nothing replace them.
BOOKKEEPING = ("pytorch_lightning.", "lightning.", "lightning_fabric.", "omegaconf.")
DAMAGED = "the file may be cut short: compare its size with the download's, and download it again"


class State(Mapping[str, np.ndarray]):
    """Arrays by name, each read from the file on access.

    A checkpoint of 15 GB thus needs the memory of one array at a time.
    """

    def __init__(self, readers: Mapping[str, Callable[[], np.ndarray]]):
        self.readers = dict(readers)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.readers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self.readers)

    def __len__(self) -> int:
        return len(self.readers)

    def chosen(self, names: Mapping[str, str]) -> State:
        """Selects and renames arrays, given as {new name: present name}."""
        return State({new: self.readers[name] for new, name in names.items()})


def read_state(path: str | Path) -> State:
    """Opens a file of weights.

    Args:
      path: a .safetensors file, or a PyTorch archive: a state dict, a checkpoint with a
        `state_dict`, or TorchScript.

    Returns:
      The arrays by their names in the file; float16 and bfloat16 are kept.

    Raises:
      MissingFile: no such file.
      InputError: the file is damaged, of another format, or holds objects that are not read.
      MissingExtra: PyTorch or safetensors is needed and not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no weights at {path}; expected a .ckpt, .pt or .safetensors file")
    check_is_itself(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is not a PyTorch archive, or not a whole one; {DAMAGED}")
    if _is_script(path):
        readers = read_torchscript(path)
        if not readers:
            raise InputError(f"{path}: expected TorchScript with tensors, got none")
        return State(_naming(path, readers))
    torch = require("torch", f"reading {path.name}", PIP_LINE)
    tensors = _load_pickle(torch, path)
    return State(_naming(path, {name: _reader(torch, one) for name, one in tensors.items()}))


def _naming(path: Path, readers: Mapping[str, Callable[[], np.ndarray]]) -> dict:
    """Readers whose errors, of any type, become an InputError that names the file."""

    def one(name: str) -> np.ndarray:
        try:
            return readers[name]()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - PyTorch raises errors of many types
            words = f"{name}: {_first_line(error)}"
            raise InputError(f"{path} cannot be read ({words}); {DAMAGED}") from error

    return {name: partial(one, name) for name in readers}


def _is_script(path: Path) -> bool:
    """Whether a zip file is a TorchScript archive: one with constants, as PyTorch tells."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(Path(name).name == "constants.pkl" for name in archive.namelist())
    except Exception as error:  # noqa: BLE001 - zipfile raises any exception on a damaged directory
        raise InputError(f"{path} cannot be read ({_first_line(error)}); {DAMAGED}") from error


def _read_safetensors(path: Path) -> State:
    safetensors = require("safetensors", f"reading {path.name}", PIP_LINE)
    try:
        file = safetensors.safe_open(path, framework="numpy")
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read ({error}); {DAMAGED}") from error

    def reader(name: str) -> Callable[[], np.ndarray]:
        return lambda: file.get_tensor(name)

    return State(_naming(path, {name: reader(name) for name in file.keys()}))


class _StandIn:
    """Replaces an object of a pickle that is not needed; accepts any arguments and state."""

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        pass


def _load_pickle(torch: Any, path: Path) -> dict[str, Any]:
    """The tensors of an archive written by torch.save, memory-mapped."""
    serialization = torch.serialization
    try:
        others = serialization.get_unsafe_globals_in_checkpoint(path)
        foreign = [name for name in others if not name.startswith(BOOKKEEPING)]
        if not foreign:
            with serialization.safe_globals([(_StandIn, name) for name in others]):
                loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - PyTorch raises errors of many types
        raise InputError(f"{path} cannot be read ({_first_line(error)}); {DAMAGED}") from error
    if foreign:
        raise InputError(
            f"{path} holds objects that only its own program's code can build, which is not run: "
            f"{', '.join(foreign)}; if you trust the file, load it in that program and save its "
            "state_dict alone with torch.save or safetensors"
        )
    return _tensors(torch, path, loaded)


def _tensors(torch: Any, path: Path, loaded: Any) -> dict[str, Any]:
    """The state dict in a loaded object: the object itself, or its entry `state_dict`.

    Raises:
      InputError: there is no state dict of tensors.
    """
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(state, Mapping) or not state:
        raise InputError(f"{path}: expected a state dict, got {type(loaded).__name__}")
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise InputError(
                f"{path}: expected a state dict of tensors, got {type(value).__name__} at {name!r}"
            )
    return dict(state)


def _reader(torch: Any, tensor: Any) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        if tensor.dtype == torch.bfloat16:  # NumPy has no bfloat16
            return tensor.detach().view(torch.int16).numpy().view(jnp.bfloat16)
        return tensor.detach().numpy()

    return read


def _first_line(error: Exception) -> str:
    text = re.sub(r"\x1b\[\d*m", "", str(error)).strip()
    return (text or type(error).__name__).splitlines()[0]
