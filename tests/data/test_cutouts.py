"""data/cutouts.py, borders.py, views.py: what a picture's alpha and border say, view by view."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data.borders import frame_lines
from jaxvsnerf.data.cutouts import is_cutout
from jaxvsnerf.data.images import Picture, read_picture
from jaxvsnerf.data.rigs import SYNCDREAMER, rig_cameras
from jaxvsnerf.data.views import PosedPictures, make_view_set
from jaxvsnerf.geometry.cameras import take

SIZE, VIEWS = 32, 4
OPAQUE = np.ones((SIZE, SIZE), np.float32)


def _object(view):
    """[SIZE, SIZE] opacity of a block that differs from view to view."""
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[8 : 22 + view, 9 : 21 + view] = 1.0
    return mask


def _on(color, mask):
    """A picture of the object before a colour."""
    inside = np.linspace(0.2, 0.6, SIZE, dtype=np.float32)[:, None, None] * np.ones(3, np.float32)
    return np.where(mask[..., None] > 0, inside, np.float32(color))


def _masks(pictures, **changes):
    cameras = take(rig_cameras(SYNCDREAMER, SIZE, SIZE), range(len(pictures)))
    names = tuple(f"{k:03d}" for k in range(len(pictures)))
    posed = PosedPictures(tuple(pictures), cameras, names)
    return make_view_set(posed, None, need_masks=True, **changes)


def _lines(pixels, thick, value, sides):
    pixels = pixels.copy()
    for side in sides:
        np.rot90(pixels, side)[:thick] = value
    return pixels


def _rounded(radius):
    place = np.arange(SIZE) + 0.5
    over = np.maximum(np.maximum(radius - place, place - (SIZE - radius)), 0.0)
    return (np.hypot(over[:, None], over[None]) <= radius).astype(np.float32)


def _with(value, where):
    alpha = OPAQUE.copy()
    alpha[where] = value
    return alpha


MEANINGLESS = {
    "opaque": OPAQUE,
    "254": OPAQUE * np.float32(254 / 255),
    "a few pixels of 254": _with(254 / 255, np.s_[0, ::7]),
    "lossy": np.random.default_rng(0).integers(240, 256, (SIZE, SIZE)).astype(np.float32) / 255,
    "a half transparent pixel": _with(0.4, (3, 3)),
    "a transparent pixel": _with(0.0, (3, 3)),
    "rounded corners": _rounded(5),
    "round": _rounded(16),
    "a transparent line": _lines(OPAQUE, 1, 0.0, (0, 3)),
    "a transparent frame": _lines(OPAQUE, 2, 0.0, range(4)),
    "half transparent": OPAQUE * np.float32(0.6),
}


@pytest.mark.parametrize("name", MEANINGLESS)
def test_an_alpha_that_says_nothing_is_read_as_an_opaque_picture(name):
    alpha = MEANINGLESS[name]
    true = np.stack([_object(view) for view in range(VIEWS)])
    whole = [_on(1.0, mask) for mask in true]
    # Editors leave black under transparent pixels.
    pictures = [Picture(np.where(alpha[..., None] > 0, one, np.float32(0)), alpha) for one in whole]
    views = _masks(pictures)
    np.testing.assert_array_equal(views.masks, true)
    assert views.mask_sources == ("background",) * VIEWS
    np.testing.assert_allclose(views.images, np.stack(whole), atol=1e-6)


def test_an_inverted_alpha_is_no_cut_out():
    mask = _object(0)
    views = _masks([Picture(_on(1.0, mask), 1.0 - mask)])
    np.testing.assert_array_equal(views.masks[0], mask)


def test_cut_outs_stay_cut_outs():
    soft = _object(0)
    soft[8, 9:21] = 0.3  # a soft rim
    cut = _object(0)
    cut[:, :20] = 0.0  # at the picture's left half is nothing
    border = np.zeros((SIZE, SIZE), np.float32)
    border[10:, 8:24] = 1.0  # the picture's border cuts the object
    for alpha in (soft, _object(3), cut, border):
        assert is_cutout(_on(0.0, alpha), alpha)


def test_each_view_is_decided_by_itself():
    true = np.stack([_object(view) for view in range(VIEWS)])
    pictures = [
        Picture(_on(0.0, true[0]), true[0]),
        Picture(_on(1.0, true[1]), OPAQUE),
        Picture(_on(1.0, true[2]), None),
        Picture(_on(0.0, true[3]), true[3]),
    ]
    views = _masks(pictures)
    np.testing.assert_array_equal(views.masks, true)
    assert views.mask_sources == ("alpha", "background", "background", "alpha")
    np.testing.assert_allclose(views.images, [_on(1.0, mask) for mask in true], atol=1e-6)


def test_alpha_that_is_asked_for_is_taken_as_it_is():
    alpha = MEANINGLESS["a few pixels of 254"]
    views = _masks([Picture(_on(1.0, _object(0)), alpha)], mask="alpha")
    np.testing.assert_array_equal(views.masks[0], alpha)


@pytest.mark.parametrize("thick", [1, 2])
@pytest.mark.parametrize("value", [0.0, 0.5, 0.9])
def test_lines_around_a_picture_are_no_background_and_no_object(thick, value):
    for sides in ((0,), (0, 3), range(4)):
        true = np.stack([_object(view) for view in range(VIEWS)])
        plain = [_on(1.0, mask) for mask in true]
        views = _masks([Picture(_lines(one, thick, value, sides), None) for one in plain])
        np.testing.assert_array_equal(views.masks, true)
        np.testing.assert_allclose(views.images, np.stack(plain), atol=1e-6)


def test_lines_around_cut_outs_are_left_out():
    true = _object(0)
    views = _masks([Picture(_on(0.0, true), _lines(true, 1, 1.0, range(4)))])
    np.testing.assert_array_equal(views.masks[0], true)


def test_an_object_that_the_border_cuts_is_no_line():
    for thick in (1, 2, 8):
        mask = np.zeros((SIZE, SIZE), np.float32)
        mask[:thick, 4:24] = 1.0
        assert not frame_lines(_on(1.0, mask)).any()
    tall = np.zeros((SIZE, SIZE), np.float32)
    tall[10:, 8:24] = 1.0
    np.testing.assert_array_equal(_masks([Picture(_on(1.0, tall), None)]).masks[0], tall)


def test_a_black_background_and_views_of_four_pixels():
    true = np.stack([_object(view) for view in range(VIEWS)])
    views = _masks([Picture(_on(0.0, mask), None) for mask in true])
    np.testing.assert_array_equal(views.masks, true)
    tiny = np.ones((4, 4, 3), np.float32)
    tiny[1:3, 1:3] = 0.3
    cameras = take(rig_cameras(SYNCDREAMER, 4, 4), [0])
    small = make_view_set(PosedPictures((Picture(tiny, None),), cameras, ("a",)), None)
    assert small.masks.sum() == 4


def test_one_black_view_is_named():
    pictures = [Picture(_on(1.0, _object(view)), None) for view in range(VIEWS)]
    pictures[2] = Picture(np.zeros((SIZE, SIZE, 3), np.float32), None)
    with pytest.raises(ValueError, match="view 002 shows no object"):
        _masks(pictures)


def test_a_thin_plate_is_kept():
    mask = np.zeros((128, 128), np.float32)
    mask[62:65, 20:108] = 1.0  # 2 % thick
    rgb = np.where(mask[..., None] > 0, np.float32(0.4), np.float32(1.0)) * np.ones(3, np.float32)
    cameras = take(rig_cameras(SYNCDREAMER, 128, 128), [0])
    views = make_view_set(PosedPictures((Picture(rgb, None),), cameras, ("a",)), None)
    np.testing.assert_array_equal(views.masks[0], mask)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "CMYK", "L"])
def test_every_kind_of_picture_gives_the_same_mask(mode, tmp_path):
    true = _object(0)
    rgba = np.uint8(np.round(np.dstack([_on(1.0, true), true]) * 255))
    name, options = ("a.jpg", {"quality": 95}) if mode == "CMYK" else ("a.png", {})
    if mode == "P":
        image = Image.fromarray(rgba).quantize(64)
        image.save(tmp_path / name)
    else:
        cut = mode in ("RGBA", "LA")
        Image.fromarray(rgba if cut else rgba[..., :3]).convert(mode).save(
            tmp_path / name, format="JPEG" if mode == "CMYK" else "PNG", **options
        )
    found = _masks([read_picture(tmp_path / name)]).masks[0] > 0.5
    wrong = (found != (true > 0.5)).sum()
    assert wrong <= (0.3 * true.sum() if mode == "CMYK" else 0)


def test_a_jpeg_called_png_and_lossy_files_keep_the_outline(tmp_path):
    true = _object(0)
    pixels = np.uint8(np.round(_on(1.0, true) * 255))
    path = tmp_path / "a.png"
    for kind, quality in (("JPEG", 75), ("JPEG", 95), ("WEBP", 80)):
        Image.fromarray(_lines(pixels, 1, 0, (0, 3))).save(path, kind, quality=quality)
        found = _masks([read_picture(path)]).masks[0] > 0.5
        overlap = (found & (true > 0)).sum() / (found | (true > 0)).sum()
        assert overlap > 0.9 and not found[0].any() and not found[:, 0].any()


def test_sixteen_bits_per_channel(tmp_path):
    true = _object(0)
    rows = np.uint16(np.dstack([_on(0.0, true), true]) * 65535).astype(">u2").reshape(SIZE, -1)

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", SIZE, SIZE, 16, 6, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    views = _masks([read_picture(tmp_path / "a.png")])
    np.testing.assert_array_equal(views.masks[0], true)
