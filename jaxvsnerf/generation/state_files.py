"""Reading downloaded weights: PyTorch archives and safetensors, an array at a time.

Nothing of a file is executed: of PyTorch's pickles only tensors and plain containers are
built (`weights_only=True`), and what else a training checkpoint holds is passed over.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.system.extras import require

PIP_LINE = "pip install 'jaxvsnerf[convert]'"
# What a training checkpoint of these packages holds beside its weights: the names are known
# to be of settings and bookkeeping, and stand-ins that do nothing take their place.
BOOKKEEPING = ("pytorch_lightning.", "lightning.", "lightning_fabric.", "omegaconf.")
DAMAGED = "it may be cut short: compare its size with the download's, and download it again"


class State(Mapping[str, np.ndarray]):
    """Arrays by name, each read from its file when it is asked for.

    A checkpoint of 15 GB so takes the memory of the array at hand.
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
        """A state of some of the arrays, under other names (new name -> name here)."""
        return State({new: self.readers[name] for new, name in names.items()})


def read_state(path: str | Path) -> State:
    """Opens a file of weights.

    Args:
      path: a PyTorch archive (a state dict, one under `state_dict`, or TorchScript) or a file
        that ends in .safetensors.

    Returns:
      The arrays by the names they have there; float16 and bfloat16 as they are.

    Raises:
      FileNotFoundError: no such file.
      ValueError: it is damaged, of another format, or holds objects that are not read.
      ImportError: PyTorch or safetensors is needed and not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no weights at {path}; expected a .ckpt, .pt or .safetensors file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is not a PyTorch archive, or not a whole one; {DAMAGED}")
    torch = require("torch", f"reading {path.name}", PIP_LINE)
    with zipfile.ZipFile(path) as archive:
        script = any(name.endswith("/constants.pkl") for name in archive.namelist())
    tensors = _load_script(torch, path) if script else _load_pickle(torch, path)
    return State({name: _reader(torch, tensor) for name, tensor in tensors.items()})


def _read_safetensors(path: Path) -> State:
    safetensors = require("safetensors", f"reading {path.name}", PIP_LINE)
    try:
        file = safetensors.safe_open(path, framework="numpy")
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read ({error}); {DAMAGED}") from error

    def reader(name: str) -> Callable[[], np.ndarray]:
        return lambda: file.get_tensor(name)

    return State({name: reader(name) for name in file.keys()})


class _StandIn:
    """Takes the place of an object that is not wanted, whatever it is made from."""

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        pass


def _load_pickle(torch: Any, path: Path) -> dict[str, Any]:
    """The tensors of an archive that torch.save wrote; they stay on the disk until used."""
    serialization = torch.serialization
    try:
        others = serialization.get_unsafe_globals_in_checkpoint(path)
        foreign = [name for name in others if not name.startswith(BOOKKEEPING)]
        if not foreign:
            with serialization.safe_globals([(_StandIn, name) for name in others]):
                loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - PyTorch raises what it likes
        raise InputError(f"{path} cannot be read ({_first_line(error)}); {DAMAGED}") from error
    if foreign:
        raise InputError(
            f"{path} holds objects that only its own program's code can build, which is not run: "
            f"{', '.join(foreign)}; where you trust the file, load it there and save its "
            "state_dict alone with torch.save or safetensors"
        )
    return _tensors(torch, path, loaded)


def _load_script(torch: Any, path: Path) -> dict[str, Any]:
    """The tensors of a TorchScript archive, the form of OpenAI's CLIP."""
    import warnings

    try:
        with warnings.catch_warnings():  # of the format's end, which old files outlive
            warnings.simplefilter("ignore")
            return _tensors(torch, path, torch.jit.load(path, map_location="cpu").state_dict())
    except RuntimeError as error:
        raise InputError(f"{path} cannot be read ({_first_line(error)}); {DAMAGED}") from error


def _tensors(torch: Any, path: Path, loaded: Any) -> dict[str, Any]:
    """The state dict of what was loaded.

    Raises:
      ValueError: there is none.
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
        if tensor.dtype == torch.bfloat16:  # NumPy has no such type of its own
            return tensor.detach().view(torch.int16).numpy().view(jnp.bfloat16)
        return tensor.detach().numpy()

    return read


def _first_line(error: Exception) -> str:
    text = re.sub(r"\x1b\[\d*m", "", str(error)).strip()
    return (text or type(error).__name__).splitlines()[0]
