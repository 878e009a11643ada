"""Files that somebody else made cannot run code, take all memory, or show what lies elsewhere."""

import io
import re
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from tests import commands
from tests.data.test_colmap import PINHOLE
from tests.generation.test_torchscript import MODULE, archive, calls, module, tensor, text
from tests.metrics.test_lpips import random_model

SMALL = f"--config={commands.ROOT / 'configs' / 'smoke.py'}"
HUGE = 2**62


def png_claiming(width, height):
    """A PNG of some bytes whose header claims a size."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


def scripts(folder):
    """TorchScript: a state made by its own code, a call of os.system, tensors without end."""
    mark = folder / "WRITTEN"
    state = MODULE + b"(" + tensor((6,), (1,)) + text(str(mark)) + b"tb"
    run = module(weight=tensor((6,), (1,)), hook=calls("os.system", f"touch {mark}"))
    vast = module(weight=tensor((2**30, 2**30), (0, 0)))
    for name, program in (("state", state), ("run", run), ("vast", vast)):
        path = archive(folder / f"{name}.pt", program)
        yield path, ("convert", f"--from={path}", f"--to={folder / name}")


def colmap(folder):
    """A model of a picture whose points or images claim 2^62 entries."""
    pose = (1.0, 0, 0, 0, 0, 0, 2.0)
    image = struct.pack("<I7dI", 1, *pose, 1) + b"a.png\0" + struct.pack("<Q", 0)
    camera = struct.pack("<IiQQ4d", 1, 1, 64, 48, *map(float, PINHOLE.split()[3:]))
    for name in ("points3D", "images"):
        model = folder / name / "sparse" / "0"
        model.mkdir(parents=True)
        for kind, data in (("cameras", camera), ("images", image), ("points3D", b"")):
            count = HUGE if kind == name else 1
            (model / f"{kind}.bin").write_bytes(struct.pack("<Q", count) + data)
        (folder / name / "images").mkdir()
        Image.new("RGB", (64, 48), "white").save(folder / name / "images" / "a.png")
        yield "inspect", f"--config.data.path={folder / name}", f"--out={folder / name}.html"


def lpips_archive(path):
    """Weights of AlexNet, with a head whose header claims 8 TB."""
    weights = random_model("alex").weights
    head = io.BytesIO()
    claimed = {"descr": "<f4", "fortran_order": False, "shape": (1, 64, 2**20, 2**15)}
    np.lib.format.write_array_header_1_0(head, claimed)
    np.savez(path, **{name: value for name, value in weights.items() if name != "lin0.weight"})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("lin0.weight.npy", head.getvalue())


def pictures(folder):
    """A folder of five pictures, a dark square on white."""
    folder.mkdir()
    for index in range(5):
        picture = Image.new("RGB", (32, 32), "white")
        picture.paste("navy", (10, 10, 22, 22))
        picture.save(folder / f"{index}.png")
    return folder


def orbit(folder):
    """Flags that read such a folder."""
    return (
        *(f"--config.data.path={folder}", "--config.data.kind=folder", "--config.data.rig=orbit"),
        *("--config.data.azimuth_deg=(0,72,144,216,288)", "--config.data.elevation_deg=(30.0,)"),
        *("--config.data.distance=1.5", "--config.data.fov_deg=49.13"),
    )


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Name of a case -> what its command said."""
    folder = tmp_path_factory.mktemp("security")
    cases = {path.stem: call for path, call in scripts(folder)}
    cases |= dict(zip(("points", "images"), colmap(folder), strict=True))
    (folder / "bomb.png").write_bytes(png_claiming(8200, 8200))
    cases["bomb"] = ("inspect", f"--config.data.path={folder / 'bomb.png'}")
    many, linked = pictures(folder / "many"), pictures(folder / "linked")
    for path in many.iterdir():
        path.write_bytes(png_claiming(8192, 8192))
    cases["many"] = ("inspect", *orbit(many))
    (linked / "3.png").rename(folder / "secret.png")
    (linked / "3.png").symlink_to(folder / "secret.png")
    cases["linked"] = ("inspect", *orbit(linked))
    lpips_archive(folder / "lpips.npz")
    lpips = f"--config.metrics.lpips={folder / 'lpips.npz'}"
    right = orbit(pictures(folder / "right"))
    cases["lpips"] = ("train", SMALL, f"--workdir={folder / 'run'}", lpips, *right)
    said = dict(zip(cases, commands.run_each(*cases.values()), strict=True))
    return folder, said


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("state", "state.pt cannot be read as TorchScript: .*own code, which is not run"),
        ("vast", "vast.pt cannot be read as TorchScript: a tensor is larger than net/data/0"),
        # The tensors of a file are read and its calls are not: these are of no known model.
        ("run", "expected a checkpoint of SyncDreamer or Zero-1-to-3, got .*weight"),
        ("images", "images.bin is not a readable COLMAP model: 4611686018427387904 entries"),
        ("bomb", "bomb.png is too large: its header claims 8200 x 8200 pixels"),
        ("many", "5 pictures and masks to read have 335544320 pixels together, at most 268435456"),
        ("linked", "3.png is a link that leaves the folder .*secret.png"),
        ("lpips", "lpips.npz: expected the weights of one of alex, .* 15 arrays that are no such"),
    ],
)
def test_a_file_made_to_harm_is_refused_in_one_line(case, message, refused):
    folder, said = refused
    done = said[case]
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert not (folder / "WRITTEN").exists() and not (folder / "run").exists()


def test_points_that_claim_to_be_without_end_are_not_read(refused):
    """The model is read; that one view alone shows no object is another matter."""
    _, said = refused
    assert "points3D" not in said["points"].stderr and "COLMAP model" not in said["points"].stderr
