"""Damages to the bytes of a file, drawn by a seed: what disks, copies and editors do to files.

    rng = np.random.default_rng(7)
    name, data = damage(path.read_bytes(), rng)  # any file
    name, data = damage_json(path.read_bytes(), rng)  # a JSON file: its values, keys and lists too

The functions are pure: the same bytes and the same state of `rng` give the same damage.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Rng = np.random.Generator
Damage = Callable[[bytes, Rng], bytes]
DEEP = 5000  # levels of brackets, more than any parser follows
# Stand for texts that json.dumps does not write.
_RAW = {"raw:huge": "1e999", "raw:long": "9" * 400, "raw:deep": "[" * DEEP + "]" * DEEP}
_OTHERS = (
    *(None, True, False, 0, -1, 10**12, 0.5, -1e30, float("nan"), float("inf"), -float("inf")),
    *("", "text", "1.5", "a/../../b", "nul\0", "\ud800", [], [0], [[]], {}, {"a": 1}, *_RAW),
)


def _span(data: bytes, rng: Rng) -> tuple[int, int]:
    """Begin and end of a part of the bytes, mostly short."""
    begin = int(rng.integers(0, len(data) + 1))
    return begin, min(len(data), begin + int(2 ** rng.uniform(0, 12)))


def flip_bits(data: bytes, rng: Rng) -> bytes:
    """One to eight bits are the other."""
    found = bytearray(data)
    for place in rng.integers(0, max(len(data), 1), rng.integers(1, 9)) if data else ():
        found[place] ^= 1 << int(rng.integers(8))
    return bytes(found)


def change_bytes(data: bytes, rng: Rng) -> bytes:
    """A part is random bytes."""
    begin, end = _span(data, rng)
    return data[:begin] + rng.bytes(end - begin) + data[end:]


def zero_bytes(data: bytes, rng: Rng) -> bytes:
    """A part is zeros, as of a block that was never written."""
    begin, end = _span(data, rng)
    return data[:begin] + bytes(end - begin) + data[end:]


def cut(data: bytes, rng: Rng) -> bytes:
    """The end is missing, as after a full disk or a broken download."""
    return data[: int(rng.integers(0, len(data) + 1))]


def remove_bytes(data: bytes, rng: Rng) -> bytes:
    """A part is missing."""
    begin, end = _span(data, rng)
    return data[:begin] + data[end:]


def insert_bytes(data: bytes, rng: Rng) -> bytes:
    """A part is there twice."""
    begin, end = _span(data, rng)
    return data[:end] + data[begin:end] + data[end:]


def swap_bytes(data: bytes, rng: Rng) -> bytes:
    """Two halves have changed places."""
    middle = int(rng.integers(0, len(data) + 1))
    return data[middle:] + data[:middle]


def append_bytes(data: bytes, rng: Rng) -> bytes:
    """There is more after the end."""
    return data + rng.bytes(int(2 ** rng.uniform(0, 10)))


def empty(data: bytes, rng: Rng) -> bytes:
    """Nothing is left."""
    return b""


def replace(data: bytes, rng: Rng) -> bytes:
    """Another file has the name: a page, a pointer to the file, noise."""
    pages = (b"<!DOCTYPE html><html>404</html>", b"version https://git-lfs.github.com/spec/v1\n")
    noise = rng.bytes(int(rng.integers(1, 5000)))
    return (*pages, noise, b"null", b"PK\x03\x04" + noise)[int(rng.integers(5))]


KINDS: dict[str, Damage] = {
    one.__name__: one
    for one in (
        *(flip_bits, change_bytes, zero_bytes, cut, remove_bytes, insert_bytes, swap_bytes),
        *(append_bytes, empty, replace),
    )
}


def encode(data: bytes, rng: Rng) -> bytes:
    """The text in another encoding; the very same bytes if they are no text."""
    names = ("utf-16", "utf-32", "utf-8-sig", "utf-16-be", "cp037")
    try:
        return data.decode().encode(names[int(rng.integers(len(names)))])
    except UnicodeError:
        return data


def change_value(data: bytes, rng: Rng) -> bytes:
    """One value of JSON, of any depth, is another, mostly of another type."""

    def change(parent: Any, key: Any) -> None:
        parent[key] = copy.deepcopy(_OTHERS[int(rng.integers(len(_OTHERS)))])

    return _changed(data, rng, change)


def remove_value(data: bytes, rng: Rng) -> bytes:
    """One key of JSON, or one item of a list, is missing."""
    return _changed(data, rng, lambda parent, key: parent.pop(key))


def rename_key(data: bytes, rng: Rng) -> bytes:
    """One key of JSON has another name; an item of a list is there twice."""

    def rename(parent: Any, key: Any) -> None:
        if isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        else:
            parent[f"{key}x"] = parent.pop(key)

    return _changed(data, rng, rename)


def exchange_values(data: bytes, rng: Rng) -> bytes:
    """One value of JSON stands in the place of another too."""
    try:
        nodes = list(_nodes(json.loads(data)))
    except (ValueError, RecursionError):
        return data
    parent, key = nodes[int(rng.integers(len(nodes)))] if nodes else ([None], 0)
    value = copy.deepcopy(parent[key])

    def exchange(parent: Any, key: Any) -> None:
        parent[key] = value

    return _changed(data, rng, exchange)


JSON_KINDS: dict[str, Damage] = {
    one.__name__: one for one in (encode, change_value, remove_value, rename_key, exchange_values)
}


def _changed(data: bytes, rng: Rng, change: Callable[[Any, Any], Any]) -> bytes:
    """JSON with a change to one of its values; the very same bytes if they are no JSON."""
    try:
        top = [json.loads(data)]
    except (ValueError, RecursionError):
        return data
    # Levels are drawn first: most values of a file of numbers lie at its deepest level.
    levels: dict[int, list[tuple[Any, Any]]] = {}
    for parent, key, level in _nodes_by_level(top):
        levels.setdefault(level, []).append((parent, key))
    choices = levels[int(rng.choice(list(levels)))]
    change(*choices[int(rng.integers(len(choices)))])
    text = json.dumps(top[0] if top else None)
    for name, raw in _RAW.items():
        text = text.replace(json.dumps(name), raw)
    return text.encode()


def _nodes_by_level(value: Any, level: int = 0) -> Iterator[tuple[Any, Any, int]]:
    """(container, key or index, level) of every value inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield value, key, level
        if isinstance(one, (dict, list)):
            yield from _nodes_by_level(one, level + 1)


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key or index) of every value inside a value."""
    if isinstance(value, (dict, list)):
        yield from ((parent, key) for parent, key, _ in _nodes_by_level(value))


def _one_of(kinds: dict[str, Damage], data: bytes, rng: Rng) -> tuple[str, bytes]:
    name = list(kinds)[int(rng.integers(len(kinds)))]
    return name, kinds[name](data, rng)


def damage(data: bytes, rng: Rng) -> tuple[str, bytes]:
    """The name of a kind of damage, and the damaged bytes of any file."""
    return _one_of(KINDS, data, rng)


def damage_json(data: bytes, rng: Rng) -> tuple[str, bytes]:
    """The name of a kind of damage, and the damaged bytes of a JSON file.

    Two of three damages are to its structure, the rest are those of any file.
    """
    return _one_of(JSON_KINDS if rng.integers(3) else KINDS, data, rng)
