"""TorchScript archives: their tensors are read, and nothing of them is executed."""

import struct
import warnings
import zipfile

import numpy as np
import pytest

from jaxvsnerf.errors import InputError
from jaxvsnerf.generation.state_files import read_state

MODULE = b"c__torch__\nNet\n)\x81"
NUMBERS = np.arange(6, dtype="<f4")


def number(value):
    return b"J" + struct.pack("<i", value)


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(shape, strides, start=0, key="0", count=6, kind="Float"):
    """A tensor as PyTorch pickles it."""
    storage = b"(%sctorch\n%sStorage\n%s%s%stQ" % (
        *(text("storage"), kind.encode(), text(key), text("cpu")),
        number(count),
    )
    rest = number(start) + numbers(shape) + numbers(strides) + b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tR"


def module(**attributes):
    """A module whose attributes are given as opcodes."""
    items = b"".join(text(name) + value for name, value in attributes.items())
    return MODULE + b"}(" + items + b"ub"


def archive(path, program, members=None, compress=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compress) as file:
        file.writestr("net/data.pkl", b"\x80\x02" + program + b".")
        file.writestr("net/constants.pkl", b"\x80\x02).")
        file.writestr("net/code/__torch__.py", "import os\nos.abort()\n")
        for name, data in (members or {"net/data/0": NUMBERS.tobytes()}).items():
            file.writestr(name, data)
    return path


def test_tensors_of_nested_and_shared_modules_have_their_names(tmp_path):
    inner = module(
        weight=tensor((2, 2), (3, 1), 1), training=b"\x88", names=b"](" + text("a") + b"e"
    )
    program = module(first=inner + b"q\x00", second=b"h\x00", flat=tensor((6,), (1,)), none=b"N")
    state = read_state(archive(tmp_path / "net.pt", program))
    assert set(state) == {"first.weight", "second.weight", "flat"}
    np.testing.assert_array_equal(state["flat"], NUMBERS)
    # Elements 1, 2, 4 and 5 of the storage.
    np.testing.assert_array_equal(state["second.weight"], [[1, 2], [4, 5]])


def test_half_precision_scalars_and_no_elements_are_read(tmp_path):
    for kind, dtype in (("Half", "<f2"), ("Long", "<i8"), ("Bool", "?")):
        stored = {"net/data/0": np.ones(1, dtype).tobytes()}
        program = module(
            one=tensor((), (), count=1, kind=kind), no=tensor((0, 3), (3, 1), count=1, kind=kind)
        )
        state = read_state(archive(tmp_path / f"{kind}.pt", program, stored))
        assert state["one"] == 1 and state["one"].dtype == np.dtype(dtype)
        assert state["no"].shape == (0, 3)
    stored = {"net/data/0": b"\x80\x3f"}  # 1 in bfloat16
    state = read_state(
        archive(tmp_path / "b.pt", module(one=tensor((), (), count=1, kind="BFloat16")), stored)
    )
    assert state["one"].astype(np.float32) == 1


def calls(name, argument):
    """A call of a function with a text."""
    return b"c" + name.replace(".", "\n").encode() + b"\n(" + text(argument) + b"tR"


CIRCLE = MODULE + b"q\x00}(" + text("again") + b"h\x00ub"
# Every module holds the one before twice: 2^40 names.
DOUBLED = module(w=tensor((6,), (1,))) + b"".join(
    b"q%c" % level + module(a=b"h%c" % level, b=b"h%c" % level) for level in range(40)
)
REFUSED = {
    "runs": (
        module(w=tensor((6,), (1,))) + calls("os.system", "touch MARK") + b"b",
        "tensors|state",
    ),
    "state": (MODULE + b"(" + tensor((6,), (1,)) + b"tb", "the file's own code, which is not run"),
    "short": (module(w=tensor((600,), (1,), count=600)), "net/data/0 is shorter than its tensor"),
    "beyond": (module(w=tensor((6,), (1,), 3)), "reaches beyond net/data/0"),
    "before": (module(w=tensor((3,), (-1,), 3)), "larger than net/data/0"),
    "expanded": (module(w=tensor((2**30, 2**30), (0, 0))), "larger than net/data/0"),
    "absent": (module(w=tensor((6,), (1,), key="7")), "net/data/7"),
    "circle": (CIRCLE, "nested without end"),
    "doubled": (DOUBLED, "nested without end"),
    "memo": (module(w=tensor((6,), (1,))) + b"0r\xff\xff\xff\x7f", "cannot be read as TorchScript"),
    "opcode": (b"(" + text("x") + b"ios\nsystem\n", "opcode INST, which PyTorch does not write"),
    "endless": (b"\x8e" + b"\xff" * 8, "cannot be read as TorchScript"),
    "nothing": (module(training=b"\x88"), "expected TorchScript with tensors, got none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_and_damaged_archives_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        read_state(archive(tmp_path / "net.pt", program))
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt"]


def test_a_compressed_archive_could_be_of_any_size_and_is_refused(tmp_path):
    stored = {"net/data/0": b"\0" * 10**6}
    program = module(w=tensor((250_000,), (1,), count=250_000))
    path = archive(tmp_path / "net.pt", program, stored, zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="compressed"):
        read_state(path)


def test_every_bit_is_that_of_pytorch(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch, of the extra `convert`, is absent")

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(5, 4).t())
            self.register_buffer("part", torch.randn(3, 6)[:, ::2].bfloat16())
            self.register_buffer("none", torch.zeros(0, 3))
            self.register_buffer("step", torch.tensor(7))
            self.sizes, self.names, self.scale = [1, 2], {"a": 1.5}, 3
            self.attention = torch.nn.MultiheadAttention(8, 2).half()
            self.first = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
            self.second = self.first

        def forward(self, x):
            return x @ self.weight.t()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for make in (torch.jit.script, lambda net: torch.jit.trace(net, torch.randn(2, 5))):
            torch.jit.save(make(Net()), tmp_path / "net.pt")
            expected = torch.jit.load(tmp_path / "net.pt", map_location="cpu").state_dict()
            found = read_state(tmp_path / "net.pt")
            assert set(found) == set(expected)
            for name, value in expected.items():
                value = value.detach()
                if value.dtype == torch.bfloat16:
                    value = value.view(torch.int16)
                assert found[name].tobytes() == value.numpy().tobytes(), name
                assert found[name].shape == value.shape, name
