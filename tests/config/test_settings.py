"""Every setting: its bounds and its type hold, in a spec and at the door of the commands."""

import dataclasses
import math
from typing import get_args, get_origin

import pytest

from jaxvsnerf.config.check import check_config, check_data
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.config.sections import SECTIONS
from jaxvsnerf.config.settings_page import list_settings
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.errors import InputError
from jaxvsnerf.fields.build import FieldSpec
from jaxvsnerf.system.settings import Setting, check_values, declared
from jaxvsnerf.training.losses import LossSpec
from tests import commands

ROWS = list_settings()


def numeric(row):
    return next((kind for kind in flat_kinds(row) if kind in (int, float)), None)


def flat_kinds(row):
    return [get_args(k)[0] if get_origin(k) is tuple else k for k in row.declared.kinds]


def is_list(row):
    return any(get_origin(kind) is tuple for kind in row.declared.kinds)


def as_value(row, number):
    """A number as the setting holds numbers: itself, or a list of the right length."""
    if not is_list(row):
        return number
    return (number,) * max([length for length in row.declared.setting.lengths] or [1])


def edges(limits: Setting, kind: type):
    """(accepted, refused) numbers around each bound."""
    step = 1 if kind is int else 1e-3
    for bound in (limits.at_least, limits.at_most):
        if bound is not None:
            yield bound, bound + (step if bound == limits.at_most else -step)
    for bound, inwards in ((limits.above, 1e-9), (limits.below, -1e-9)):
        if bound is not None:
            yield bound + inwards, bound


def refuse(row, value):
    """The message with which a setting's section refuses a value."""
    with pytest.raises(InputError) as error:
        accept(row, value)
    return str(error.value)


def accept(row, value):
    for spec in SECTIONS[row.section].specs:
        if row.name in declared(spec):
            others = {name: one.default for name, one in declared(spec).items()}
            check_values(spec, {**others, row.name: value}, row.section)


NUMBERS = [row for row in ROWS if numeric(row)]
EDGES = [
    pytest.param(row, good, bad, id=f"{row.full_name}-{bad:g}")
    for row in NUMBERS
    for good, bad in edges(row.declared.setting, numeric(row))
]


def test_every_number_has_a_bound_on_either_side():
    assert len(NUMBERS) > 50
    for row in NUMBERS:
        limits = row.declared.setting
        assert {limits.at_least, limits.above} != {None}, row.full_name
        assert {limits.at_most, limits.below} != {None}, row.full_name


@pytest.mark.parametrize("row, good, bad", EDGES)
def test_a_number_is_accepted_up_to_its_bound_and_refused_beyond(row, good, bad):
    limits = row.declared.setting
    accept(row, as_value(row, good))
    open_values = (limits.also, limits.auto.value if limits.auto else None)
    if bad in open_values:  # has a meaning of its own
        accept(row, as_value(row, bad))
        bad -= 1
    assert refuse(row, as_value(row, bad)).startswith(f"{row.full_name}: expected ")


WRONG = {
    bool: [1, 0.0, "True", None],
    int: [math.nan, math.inf, True, "3", 2.5, None],
    float: [math.nan, -math.inf, True, "3"],
    str: [3, True, None],
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.full_name)
def test_a_value_of_a_wrong_type_is_refused_by_every_setting(row):
    for kind in flat_kinds(row):
        for value in WRONG.get(kind, []):
            if value is None and type(None) in row.declared.kinds:
                continue
            assert refuse(row, as_value(row, value)).startswith(f"{row.full_name}: expected ")
            assert repr(value) in refuse(row, as_value(row, value))
    if is_list(row):
        refuse(row, 3)


@pytest.mark.parametrize("row", [r for r in ROWS if r.declared.setting.choices], ids=lambda r: r[1])
def test_an_unknown_word_is_refused_with_the_known_ones(row):
    message = refuse(row, ("stray",) if is_list(row) else "stray")
    assert ", ".join(row.declared.setting.choices) in message


OPEN = [row for row in ROWS if row.declared.setting.auto]


@pytest.mark.parametrize("row", OPEN, ids=lambda row: row.full_name)
def test_a_config_may_leave_open_what_a_spec_must_hold(row):
    value = row.declared.setting.auto.value
    accept(row, value)
    spec = next(s for s in SECTIONS[row.section].specs if row.name in declared(s))
    given = {"name": "stage1"} if row.section.startswith("stage") else {}
    given |= {"num_views": 4} if spec is FieldSpec else {}
    with pytest.raises(InputError, match=row.name):
        spec(**given, **{row.name: value})


def test_a_spec_refuses_what_a_config_refuses():
    with pytest.raises(
        InputError, match=r"loss\.eps: expected a number above 0, up to 100, got nan"
    ):
        LossSpec(eps=math.nan)
    with pytest.raises(InputError, match=r"field\.num_views: expected a whole number of 1 to"):
        FieldSpec(num_views=True)
    with pytest.raises(
        InputError, match=r"data\.background: .* 3 numbers of 0 to 1.* got \(1, 2\)"
    ):
        DataSpec(path="x", background=(1, 2))


@pytest.mark.parametrize(
    "name, value",
    [
        ("field.density_scale", -10.0),
        ("field.density_scale", math.nan),
        ("loss.trust", math.nan),
        ("stage1.lr_init", math.inf),
        ("mesh.level", math.nan),
        ("seed", -1),
        ("seed", 99999999999999999999),
        ("stage1.rays", 1000000000000),
        ("render.turntable_size", 100000),
    ],
)
def test_a_config_with_such_a_value_is_refused_by_name(name, value):
    config = default_config()
    config.data.path = "x"
    check_config(config)
    config.update_from_flattened_dict({name: value})
    with pytest.raises(InputError, match=f"^{name}: expected .*, got {value}$"):
        check_config(config)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"stage1.lr_final": 0.1}, "stage1: expected lr_final <= lr_init, got 0.1 and 0.003"),
        ({"stage2.trainable": ()}, "stage2.trainable: expected some of encoding"),
        ({"stage1.mode": "fused"}, "single -> per_view -> fused"),
        ({"field.depth": 2, "field.shared_layers": 2}, "field.shared_layers: expected fewer than"),
        ({"field.hash_grid.base": 256}, "field.hash_grid: expected base <= finest"),
        ({"data.path": ""}, "data.path: expected the path of the pictures"),
        ({"data.rig": "sphere"}, "data.rig: expected one of syncdreamer"),
        ({f"stage{n}.steps": 0 for n in (1, 2, 3)}, "at least one stage"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_before_pictures_are_read(changes, message):
    config = default_config()
    config.data.path = "there is no such file"
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=message):
        check_config(config)


def test_the_data_section_is_checked_by_itself():
    config = default_config()
    config.data.path, config.seed = "x", -1
    check_data(config)
    config.data.downscale = 0
    with pytest.raises(InputError, match=r"data\.downscale"):
        check_data(config)


@pytest.mark.parametrize(
    "name, value",
    [("seed", "99999999999999999999"), ("stage1.rays", "1e12"), ("loss.trust", "nan")],
)
def test_the_train_command_refuses_in_one_line_and_writes_nothing(tmp_path, name, value):
    workdir = tmp_path / "run"
    value = "1000000000000" if value == "1e12" else value
    done = commands.run("train", *commands.train_arguments(workdir, f"--config.{name}={value}"))
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(f"error: {name}: expected a ") and done.stderr.count("\n") == 1
    assert not workdir.exists()


NEEDED = {"num_views": 4, "num": 8, "name": "stage1", "levels": (), "loss": LossSpec()}


def test_no_default_of_a_spec_is_refused_by_the_spec():
    for spec in {spec for section in SECTIONS.values() for spec in section.specs}:
        required = {
            field.name for field in dataclasses.fields(spec) if field.default is dataclasses.MISSING
        }
        path = {"path": "x"} if spec is DataSpec else {}
        spec(**path, **{name: NEEDED[name] for name in required})
