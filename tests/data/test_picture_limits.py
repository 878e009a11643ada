"""Pictures are small enough before they are decoded, and lie in the folder that was named."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data import images
from jaxvsnerf.data.images import (
    MAX_PIXELS,
    MAX_SET_PIXELS,
    check_total,
    list_pictures,
    picture_size,
    read_picture,
)
from jaxvsnerf.data.rigs import complete_rig
from jaxvsnerf.data.sheets import read_folder
from jaxvsnerf.errors import InputError
from tests.posed_files import tiny


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claiming(path, width, height, *chunks):
    """A PNG whose header claims a size, without pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", b""))
    return path


def test_the_sum_of_a_set_is_told_by_the_headers(tmp_path):
    paths = [claiming(tmp_path / f"{k}.png", 6000, 6000) for k in range(8)]
    assert picture_size(paths[0]) == (6000, 6000) and 6000**2 < MAX_PIXELS
    assert 8 * 6000**2 > MAX_SET_PIXELS > 7 * 6000**2
    check_total(paths[:7])
    with pytest.raises(InputError, match="the 8 pictures and masks to read have 288000000 pixels"):
        check_total(paths)
    check_total(paths, downscale=2)
    # The same pictures through both kinds of folders; one alone says that it cannot be decoded.
    rig = complete_rig("orbit", (0.0,) * 8, (30.0,), 1.5, 50.0, None)
    with pytest.raises(
        InputError,
        match="288000000 pixels together, at most 268435456 are kept; .*downscale=2 shrinks",
    ):
        read_folder(tmp_path, rig)
    with pytest.raises(InputError, match="truncated or damaged"):
        read_picture(paths[0])


def test_large_pictures_shrink_one_by_one(tmp_path):
    """Memory while reading is that of the small pictures and of one large one."""
    rng = np.random.default_rng(0)
    for k in range(12):
        Image.fromarray(rng.integers(0, 256, (512, 512, 3), np.uint8)).save(tmp_path / f"{k}.png")
    rig = complete_rig("orbit", (0.0,) * 12, (30.0,), 1.5, 50.0, None)
    tracemalloc.start()
    try:
        read = read_folder(tmp_path, rig, downscale=8)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read.pictures[0].rgb.shape == (64, 64, 3) and read.cameras.width == 64
    assert peak < 4 * 512 * 512 * 3 * 4  # twelve pictures at full size are three times as much


def test_masks_count_as_pictures_do(tmp_path, monkeypatch):
    from jaxvsnerf.run.dataset import load_dataset

    def masked(meta):
        for frame in meta["frames"]:
            frame["mask_path"] = "mask.png"

    spec = tiny(tmp_path, masked)
    Image.new("L", (16, 12), 255).save(tmp_path / "mask.png")
    monkeypatch.setattr(check_total, "__defaults__", (1, 5 * 16 * 12))
    with pytest.raises(InputError, match="the 6 pictures and masks to read have 1152 pixels"):
        load_dataset(spec)


def test_a_chunk_of_text_or_colours_cannot_grow_without_bound(tmp_path):
    bomb = zlib.compress(bytes(80_000_000))  # 0.1 MB of file
    for kind, head in ((b"zTXt", b"a\0\0"), (b"iCCP", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0")):
        path = claiming(tmp_path / f"{kind.decode()}.png", 8, 8, chunk(kind, head + bomb))
        with pytest.raises(InputError, match=path.name):
            read_picture(path)


def test_links_that_leave_a_folder_are_refused_and_a_linked_folder_is_read(tmp_path):
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "outside" / "secret.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "inside" / "0.png")
    (tmp_path / "inside" / "1.png").symlink_to("0.png")
    (tmp_path / "linked").symlink_to("inside")
    assert [path.name for path in list_pictures(tmp_path / "linked")] == ["0.png", "1.png"]
    (tmp_path / "inside" / "2.png").symlink_to("../outside/secret.png")
    for folder in ("inside", "linked"):
        with pytest.raises(InputError, match="2.png is a link that leaves .*outside/secret.png"):
            list_pictures(tmp_path / folder)


def test_a_rigs_own_names_may_not_be_links_that_leave_either(tmp_path):
    rig = complete_rig("wonder3d", (), (), None, None, None)
    (tmp_path / "views").mkdir()
    for view in rig.views:
        path = tmp_path / "views" / f"{rig.files[0].format(view)}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(path)
    read_folder(tmp_path / "views", rig)
    path.rename(tmp_path / "elsewhere.png")
    path.symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(InputError, match="is a link that leaves"):
        read_folder(tmp_path / "views", rig)


def test_a_picture_is_decoded_as_before_in_every_mode(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    for mode in ("RGB", "RGBA"):
        Image.fromarray(pixels[..., : len(mode)]).save(tmp_path / "a.png")
        found = images.read_picture(tmp_path / "a.png")
        np.testing.assert_array_equal(np.round(found.rgb * 255), pixels[..., :3])
        assert (found.alpha is None) == (mode == "RGB")
