"""Reads the tensors of a TorchScript archive and executes nothing of the archive.

The archive is a zip file: data.pkl holds the tree of modules as a pickle, data/N the numbers of a
tensor, code/ a program. PyTorch's own reader runs parts of the program while it loads. This reader
never opens code/. It follows the few opcodes that PyTorch writes into data.pkl, and makes only
plain containers, modules without behaviour, and descriptions of tensors.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.lib.stride_tricks import as_strided

from jaxvsnerf.errors import InputError

DTYPES = {
    "torch DoubleStorage": np.float64,
    "torch FloatStorage": np.float32,
    "torch HalfStorage": np.float16,
    "torch BFloat16Storage": jnp.bfloat16,
    "torch LongStorage": np.int64,
    "torch IntStorage": np.int32,
    "torch ShortStorage": np.int16,
    "torch CharStorage": np.int8,
    "torch ByteStorage": np.uint8,
    "torch BoolStorage": np.bool_,
}
# CLIP ViT-L/14 has some 600 tensors in some 300 modules, with names of some 50 letters.
LARGEST_PICKLE, MOST_VISITS, LONGEST_NAME = 8_000_000, 20_000, 1000
LOCAL_HEADER = 30  # bytes of a zip member's header before its name
# Opcodes whose argument is the value.
VALUES = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE")
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


class _Global(NamedTuple):
    """The name of a class or function, `module name`; nothing is looked up by the name."""

    name: str


@dataclass
class _Module:
    """A module, or any other object of the program: its attributes by name."""

    state: Any = None


class _Storage(NamedTuple):
    """Numbers of one type: the member data/<key> of the archive."""

    dtype: Any
    key: str
    count: int


class _Tensor(NamedTuple):
    """A part of a storage; places and strides in elements."""

    storage: _Storage
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torchscript(path: Path) -> dict[str, Callable[[], np.ndarray]]:
    """Finds the tensors of a TorchScript archive.

    Returns:
      A function per tensor that reads the tensor; names are those of PyTorch's `state_dict()`. A
      tensor that a module holds as a plain attribute is there too.

    Raises:
      InputError: the archive is damaged, compressed, or a module has a state of its own making.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
        root = next((name[:-8] for name in members if name.endswith("/data.pkl")), None)
        if root is None:
            raise ValueError("it has no data.pkl")
        byteorder = members.get(f"{root}byteorder")
        if byteorder and _content(path, byteorder, 16) != b"little":
            raise ValueError("its numbers are not little-endian")
        top = _follow(_content(path, members[f"{root}data.pkl"], LARGEST_PICKLE))
        return {
            name: _reader(path, members[f"{root}data/{tensor.storage.key}"], tensor)
            for name, tensor in _walk(top)
        }
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file may break any of the steps
        what = str(error) if isinstance(error, ValueError) else repr(error)
        raise InputError(
            f"{path} cannot be read as TorchScript: {what}; download it again, or save its "
            "state_dict as .safetensors in the program that it belongs to"
        ) from error


def _place(path: Path, member: zipfile.ZipInfo) -> int:
    """Where the bytes of a member begin in the file; a member must be stored as it is.

    PyTorch stores tensors uncompressed. A compressed member could be a thousand times as large as
    the file.
    """
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise ValueError(f"{member.filename} is compressed or encrypted")
    with path.open("rb") as file:
        file.seek(member.header_offset)
        header = file.read(LOCAL_HEADER)
    if header[:4] != b"PK\x03\x04":
        raise ValueError(f"{member.filename} has no header")
    sizes = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    begin = member.header_offset + LOCAL_HEADER + sum(sizes)
    if begin + member.file_size > path.stat().st_size:
        raise ValueError(f"{member.filename} reaches beyond the end of the file")
    return begin


def _content(path: Path, member: zipfile.ZipInfo, largest: int) -> bytes:
    if member.file_size > largest:
        raise ValueError(f"{member.filename} has {member.file_size} bytes, more than {largest}")
    with path.open("rb") as file:
        file.seek(_place(path, member))
        return file.read(member.file_size)


def _reader(path: Path, member: zipfile.ZipInfo, tensor: _Tensor) -> Callable[[], np.ndarray]:
    """A function that maps a tensor's part of the file into memory."""
    storage, size = tensor.storage, np.dtype(tensor.storage.dtype).itemsize
    begin, elements = _place(path, member), math.prod(tensor.shape)
    last = tensor.start + sum(
        (n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True)
    )
    if storage.count * size > member.file_size:
        raise ValueError(f"{member.filename} is shorter than its tensor")
    # An expanded tensor, of stride 0, could be of any size.
    if min(tensor.shape + tensor.strides + (tensor.start,)) < 0 or elements > storage.count:
        raise ValueError(f"a tensor is larger than {member.filename}")
    if elements and last >= storage.count:
        raise ValueError(f"a tensor reaches beyond {member.filename}")

    def read() -> np.ndarray:
        if not elements:
            return np.zeros(tensor.shape, storage.dtype)
        numbers = np.memmap(path, storage.dtype, "r", begin, (storage.count,))[tensor.start :]
        steps = tuple(step * size for step in tensor.strides)
        return as_strided(numbers, tensor.shape, steps, writeable=False)

    return read


def _walk(top: Any) -> Iterator[tuple[str, _Tensor]]:
    """The tensors of a module and of the modules below, by their names.

    Modules may be shared, and a hostile file may nest them in a circle: visits and names are
    bounded.
    """
    if not isinstance(top, _Module):
        raise ValueError("its data.pkl holds no module")
    visits, waiting = 0, [("", top)]
    while waiting:
        prefix, module = waiting.pop()
        if not isinstance(module.state, dict):
            raise ValueError(
                f"the state of the module {prefix[:-1] or 'at the top'} is made by the file's own "
                "code, which is not run"
            )
        for name, value in module.state.items():
            visits += 1
            path = f"{prefix}{name}"
            if visits > MOST_VISITS or len(path) > LONGEST_NAME:
                raise ValueError("its modules are nested without end")
            if isinstance(value, _Module):
                waiting.append((f"{path}.", value))
            elif isinstance(value, _Tensor):
                yield path, value


def _follow(data: bytes) -> Any:
    """The object of a pickle, by opcodes that neither look up a name nor call anything.

    Choice: not a subclass of pickle.Unpickler, which a number in a memo opcode makes allocate
    gigabytes, and which hashes any key.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(data):
        code = opcode.name
        if code in VALUES:
            stack.append(argument)
        elif code in CONSTANTS:
            stack.append(CONSTANTS[code])
        elif code in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif code in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif code == "GLOBAL":
            stack.append(_Global(argument))
        elif code == "STOP":
            return stack.pop()
        elif code != "PROTO":
            _apply(code, stack)
    raise ValueError("its data.pkl does not end")


def _apply(code: str, stack: list[Any]) -> None:
    """Follows an opcode that takes values from the stack."""
    if code == "MARK":
        stack.append(_MARK)
    elif code == "EMPTY_DICT":
        stack.append({})
    elif code == "EMPTY_LIST":
        stack.append([])
    elif code == "TUPLE":
        stack.append(tuple(_since_mark(stack)))
    elif code in SHORT_TUPLES:
        items = [stack.pop() for _ in range(SHORT_TUPLES[code])]
        stack.append(tuple(reversed(items)))
    elif code == "BINPERSID":
        stack.append(_storage(*stack.pop()))
    elif code in ("REDUCE", "NEWOBJ"):
        arguments, function = stack.pop(), stack.pop()
        stack.append(_made(function, arguments) if code == "REDUCE" else _Module())
    elif code == "BUILD":
        state = stack.pop()
        if isinstance(stack[-1], _Module):
            stack[-1].state = state
    elif code in ("SETITEM", "SETITEMS"):
        items = _since_mark(stack) if code == "SETITEMS" else [stack.pop(-2), stack.pop()]
        _fill(stack[-1], items)
    elif code in ("APPEND", "APPENDS"):
        items = _since_mark(stack) if code == "APPENDS" else [stack.pop()]
        stack[-1].extend(items)
    else:
        raise ValueError(f"its data.pkl has an opcode {code}, which PyTorch does not write")


def _since_mark(stack: list[Any]) -> list[Any]:
    """Takes what lies above the last mark, and the mark."""
    items: list[Any] = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _fill(target: Any, items: list[Any]) -> None:
    """Sets the keys of a dict to values, which follow each other in `items`."""
    for key, value in zip(items[::2], items[1::2], strict=True):
        if isinstance(target, dict) and isinstance(key, (str, int, float)):
            target[key] = value


def _storage(kind: str, of: _Global, key: str, place: str, count: int) -> _Storage:
    if kind != "storage" or of.name not in DTYPES:
        raise ValueError(f"it holds numbers of an unknown type, {of.name}")
    return _Storage(DTYPES[of.name], str(key), count)


def _made(function: Any, arguments: tuple) -> Any:
    """The value of a call that PyTorch writes; None stands for any other, which is not made."""
    name = function.name if isinstance(function, _Global) else ""
    if name == "torch._utils _rebuild_tensor_v2":
        storage, start, shape, strides, *_ = arguments
        return _Tensor(storage, int(start), tuple(map(int, shape)), tuple(map(int, strides)))
    if name == "collections OrderedDict":
        return {}
    return None
