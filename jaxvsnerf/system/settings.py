"""Settings: a spec's field carries its range and words; one checker serves all specs.

A spec is a frozen dataclass in the room that uses its values. `setting` declares a field that a
config holds too, `argument` a field that only code sets. A spec calls `check_spec` when it is
made, so that a config and a library user meet the same ranges and the same messages.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from jaxvsnerf.errors import InputError

LARGEST_SEED = 2**32 - 1  # jax.random.key and numpy take every seed up to here
KEY = "setting"  # of a dataclass field's metadata


class Auto(NamedTuple):
    """A value that a config may hold in place of a decision; a spec never holds it.

    Attributes:
      value: the value, such as -1 or 'auto'.
      text: what the value becomes.
    """

    value: Any
    text: str


@dataclass(frozen=True)
class Setting:
    """Range and words of one field of a spec.

    The bounds hold for a number, and for each number of a list.

    Attributes:
      text: what the setting does.
      at_least: smallest number, or None.
      above: number that every value exceeds, or None.
      at_most: largest number, or None.
      below: number that no value reaches, or None.
      choices: the words that are accepted; () accepts any.
      lengths: how many items a list may have; () accepts any number.
      also: a number beside the range that is accepted, or None.
      auto: a value that stands for a decision in a config, or None.
      unit: of a number, such as `pixels`.
      in_config: whether a config holds the setting.
      before: (value,) for a run of an older version that lacks the setting: what that version
        did; () if every version whose runs are opened has the setting.
      was: full name of the setting in older versions, '' if it had no other name.
    """

    text: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    also: float | None = None
    auto: Auto | None = None
    unit: str = ""
    in_config: bool = True
    before: tuple[Any, ...] = ()
    was: str = ""

    def holds(self, number: float) -> bool:
        """Whether a number is finite and lies in the range, or is the one beside it."""
        # Compared, not converted: a whole number may exceed the range of a float.
        if not abs(number) <= sys.float_info.max:
            return False
        return (self.also is not None and number == self.also) or (
            (self.at_least is None or number >= self.at_least)
            and (self.above is None or number > self.above)
            and (self.at_most is None or number <= self.at_most)
            and (self.below is None or number < self.below)
        )


class Declared(NamedTuple):
    """A setting as a spec declares it.

    Attributes:
      setting: range and words.
      default: the field's default, MISSING where the calling code must give a value.
      kinds: the types that the field's annotation accepts.
    """

    setting: Setting
    default: Any
    kinds: tuple[Any, ...]


def setting(default: Any, text: str, **limits: Any) -> Any:
    """A field of a spec that is a setting of the config; `limits` are fields of `Setting`."""
    return field(default=default, metadata={KEY: Setting(text, **limits)})


def argument(text: str, **limits: Any) -> Any:
    """A field of a spec that only code sets; `limits` are fields of `Setting`."""
    return field(metadata={KEY: Setting(text, in_config=False, **limits)})


@cache
def declared(spec: type) -> dict[str, Declared]:
    """The settings of a spec by name, arguments included, in the order of its fields."""
    hints = get_type_hints(spec)
    return {
        one.name: Declared(one.metadata[KEY], one.default, _kinds(hints[one.name]))
        for one in fields(spec)
        if KEY in one.metadata
    }


def config_settings(spec: type) -> dict[str, Declared]:
    """The settings of a spec that a config holds."""
    return {name: one for name, one in declared(spec).items() if one.setting.in_config}


def check_spec(spec: Any, section: str) -> None:
    """Refuses a spec that holds a value of a wrong type or out of range.

    Args:
      spec: an instance of a spec.
      section: section of the config that the spec's settings stand in, for the message.

    Raises:
      InputError: names the setting, what is expected, and the value.
    """
    for name, one in declared(type(spec)).items():
        _check(f"{section}.{name}".lstrip("."), getattr(spec, name), one, auto=False)


def check_values(spec: type, values: Mapping[str, Any], section: str) -> None:
    """Refuses values of a config that a spec could not hold once the open ones are decided.

    Args:
      spec: the spec that the values will become.
      values: a section of a config.
      section: name of the section, for the message.

    Raises:
      InputError: names the setting, what is expected, and the value.
    """
    for name, one in config_settings(spec).items():
        _check(f"{section}.{name}".lstrip("."), values[name], one, auto=True)


def _check(name: str, value: Any, one: Declared, *, auto: bool) -> None:
    """Raises an InputError unless the value is what is declared, or a config's open value."""
    if auto and one.setting.auto and _is_open(value, one.setting.auto.value):
        return
    if not any(_fits(value, kind, one.setting) for kind in one.kinds):
        raise InputError(f"{name}: expected {expected(one, auto=auto)}, got {value!r}")


def _is_open(value: Any, auto: Any) -> bool:
    """Whether a value stands for a decision; True and False stand for no number."""
    return not isinstance(value, bool) and value == auto


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The alternatives of an annotation: `float | None` has two."""
    is_single = isinstance(hint, type) or get_origin(hint) is tuple
    return (hint,) if is_single else get_args(hint)


def _fits(value: Any, kind: Any, limits: Setting) -> bool:
    """Whether a value is of one of the annotated kinds, and in range."""
    if get_origin(kind) is tuple:
        if not isinstance(value, (tuple, list)):
            return False
        if limits.lengths and len(value) not in limits.lengths:
            return False
        return all(_fits(item, get_args(kind)[0], limits) for item in value)
    if kind is NoneType or kind is bool:
        return isinstance(value, kind)
    if kind is str:
        return isinstance(value, str) and (not limits.choices or value in limits.choices)
    number = Integral if kind is int else Real
    return isinstance(value, number) and not isinstance(value, bool) and limits.holds(value)


def expected(one: Declared, *, auto: bool) -> str:
    """What a setting accepts, in words: 'a whole number of 1 to 4096, or 0'.

    Args:
      one: the setting.
      auto: whether the value that stands for a decision in a config is accepted.
    """
    limits = one.setting
    words = [_noun(kind, limits) for kind in one.kinds]
    words += [] if limits.also is None else [shown(limits.also)]
    words += [shown(limits.auto.value)] if auto and limits.auto else []
    return ", or ".join(words)


def _noun(kind: Any, limits: Setting) -> str:
    """What a setting accepts of one of its kinds."""
    if get_origin(kind) is tuple:
        return _list_noun(get_args(kind)[0], limits)
    if kind is NoneType:
        return "None"
    if kind is bool:
        return "True or False"
    if kind is str:
        return f"one of {', '.join(limits.choices)}" if limits.choices else "text"
    return f"{'a whole number' if kind is int else 'a number'} {_range(limits)}".rstrip()


def _list_noun(item: Any, limits: Setting) -> str:
    """What a list accepts."""
    if item is str:
        return f"a list of some of {', '.join(limits.choices)}"
    count = "".join(f"{length} " for length in limits.lengths if length)
    empty = ", or an empty list" if 0 in limits.lengths else ""
    noun = "whole numbers" if item is int else "numbers"
    return f"a list of {count}{noun} {_range(limits)}".rstrip() + empty


def _range(limits: Setting) -> str:
    """The range in words with its unit, '' without a range."""
    low, high = limits.at_least, limits.at_most
    if low is not None and high is not None:
        return f"of {shown(low)} to {shown(high)} {limits.unit}".rstrip()
    parts = [] if low is None else [f"of at least {shown(low)}"]
    parts += [] if limits.above is None else [f"above {shown(limits.above)}"]
    parts += [] if high is None else [f"up to {shown(high)}"]
    parts += [] if limits.below is None else [f"below {shown(limits.below)}"]
    return f"{', '.join(parts)} {limits.unit}".strip()


def shown(value: float | str) -> str:
    """A value as people write it: 4194304, 0.5, -1, auto."""
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() else f"{value:g}"
