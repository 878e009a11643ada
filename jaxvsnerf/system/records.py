"""Files of ours in JSON, checked as they are read: keys, types, shapes, finite numbers.

A check is a function of a value and its place in the file, such as `views[3].mask`. It returns
nothing for a value that is right and raises `Wrong` for any other. Checks are made of checks:

    read_record(path, fields({"names": items(text), "w2c": numbers(None, 3, 4)}), COPY)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxvsnerf.errors import DamagedFile
from jaxvsnerf.system.files import read_json

Check = Callable[[Any, str], None]
# What to do about a file that nothing makes again.
COPY = "copy the run again from where it was trained"
LARGEST = 3e38  # of float32
SHOWN = 60  # most characters of a value in a message
_ABSENT = object()


class Wrong(ValueError):
    """What a check expected, where, and what came."""

    def __init__(self, place: str, expected: str, value: Any):
        found = "nothing" if value is _ABSENT else repr(value)
        found = found if len(found) <= SHOWN else f"{found[:SHOWN]} ..."
        where = f"{place.lstrip('.')} to be " if place else ""
        super().__init__(f"{where}{expected}, got {found}")


def read_record(path: str | Path, check: Check, mend: str) -> Any:
    """What a JSON file of ours holds.

    Args:
      path: the file.
      check: the check of the whole value.
      mend: what to do about a damaged file, for the message.

    Raises:
      DamagedFile: the file is no JSON, or the check refuses it.
      OSError: it cannot be read.
    """
    value = read_json(path, mend)
    try:
        check(value, "")
    except Wrong as error:
        raise DamagedFile(path, f"expected {error}", mend) from error
    return value


def text(value: Any, place: str) -> None:
    """A text that can be written as UTF-8 and as the name of a file."""
    if not isinstance(value, str) or "\0" in value or not _has_utf8(value):
        raise Wrong(place, "text", value)


def flag(value: Any, place: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise Wrong(place, "true or false", value)


def number(value: Any, place: str) -> None:
    """A finite number that float32 can hold."""
    # Compared, not converted: integers of JSON may exceed the range of a float.
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not fits or not -LARGEST <= value <= LARGEST:
        raise Wrong(place, "a finite number", value)


def amount(value: Any, place: str) -> None:
    """A finite number of at least 0, such as seconds."""
    number(value, place)
    if value < 0:
        raise Wrong(place, "a number of at least 0", value)


def positive(value: Any, place: str) -> None:
    """A finite number above 0."""
    number(value, place)
    if value <= 0:
        raise Wrong(place, "a number above 0", value)


def whole(least: int, most: int = 2**53) -> Check:
    """A whole number in a range, both ends included."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Wrong(place, f"a whole number of {least} to {most}", value)

    return check


def one_of(*words: str) -> Check:
    """One of some words."""

    def check(value: Any, place: str) -> None:
        if value not in words:
            raise Wrong(place, f"one of {', '.join(words)}", value)

    return check


def maybe(check: Check) -> Check:
    """Null, or what a check accepts."""
    return lambda value, place: None if value is None else check(value, place)


def items(check: Check, length: int | None = None) -> Check:
    """A list of what a check accepts, of a length or, with None, of any."""

    def checked(value: Any, place: str) -> None:
        if not isinstance(value, list) or length not in (None, len(value)):
            raise Wrong(place, "a list" if length is None else f"a list of {length}", value)
        for index, one in enumerate(value):
            check(one, f"{place}[{index}]")

    return checked


def numbers(*shape: int | None, each: Check = number) -> Check:
    """Nested lists of numbers of a shape; None is any length of at least 1."""

    def checked(value: Any, place: str, axis: int = 0) -> None:
        if axis == len(shape):
            each(value, place)
            return
        length = shape[axis]
        if not isinstance(value, list) or not value or length not in (None, len(value)):
            sides = ["any" if side is None else str(side) for side in shape[axis:]]
            raise Wrong(place, f"a list of numbers of shape [{', '.join(sides)}]", value)
        for index, one in enumerate(value):
            checked(one, f"{place}[{index}]", axis + 1)

    return checked


def named(check: Check) -> Check:
    """An object whose values, whatever their names, are what a check accepts."""

    def checked(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise Wrong(place, "an object with names", value)
        for name, one in value.items():
            text(name, place)
            check(one, f"{place}.{name}")

    return checked


def fields(required: Mapping[str, Check], absent: Mapping[str, Check] | None = None) -> Check:
    """An object with some fields.

    Args:
      required: name -> check of a field that must be there.
      absent: name -> check of a field that may be absent.

    Fields of other names are accepted: a later version may write more.
    """

    def checked(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise Wrong(place, f"an object with {', '.join(required or absent)}", value)
        for name, check in required.items():
            if name not in value:
                raise Wrong(f"{place}.{name}", "there", _ABSENT)
            check(value[name], f"{place}.{name}")
        for name, check in (absent or {}).items():
            if name in value:
                check(value[name], f"{place}.{name}")

    return checked


def _has_utf8(value: str) -> bool:
    """Whether a text has no lone surrogate, which JSON can spell and UTF-8 cannot."""
    return not any("\ud800" <= one <= "\udfff" for one in value)
