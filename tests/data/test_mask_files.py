"""data/mask_files.py: the mask of a picture by its name, its values, sets that are inverted."""

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data.images import Picture
from jaxvsnerf.data.mask_files import are_inverted, mask_of, misfit_note, read_mask
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.run.dataset import load_dataset
from tests.posed_files import tiny

MASK = np.zeros((12, 16), bool)
MASK[3:9, 4:12] = True


def _save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    "name",
    ["v00.jpg.png", "v00.png", "V00.PNG", "v00.jpg", "v00.webp", "v00_mask.png", "mask_v00.png"],
)
def test_a_mask_is_found_by_the_pictures_name(name, tmp_path):
    _save(tmp_path / "left" / "v00.png", np.uint8(MASK))
    (tmp_path / "left" / "v00.png").rename(tmp_path / "left" / name)
    assert mask_of("left/v00.jpg", tmp_path) == f"left/{name}"
    assert mask_of("left/v01.jpg", tmp_path) is None and mask_of("v00.jpg", tmp_path) is None


def _grey(high):
    return np.uint8(high * MASK)


WHITE = np.full((12, 16, 3), 255, np.uint8)
FORMS = {
    "0 and 255": _grey(255),
    "0 and 1": _grey(1),
    "one bit": MASK,
    "a label": _grey(38),
    "16 bits": np.uint16(65535 * MASK),
    "alpha under white": np.dstack([WHITE, _grey(255)]),
    "a cut-out picture": np.dstack([np.uint8(WHITE * 0.3), _grey(255)]),
    "white before black, opaque": np.dstack([_grey(255)] * 3 + [np.full((12, 16), 255, np.uint8)]),
    "blue": np.dstack([_grey(0), _grey(0), _grey(255)]),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_mask_is_read_in_every_form(form, tmp_path):
    np.testing.assert_array_equal(read_mask(_save(tmp_path / "m.png", FORMS[form])), MASK)


def test_labels_of_several_objects_are_refused(tmp_path):
    labels = np.uint8(MASK)
    labels[4, 5] = 2
    with pytest.raises(ValueError, match="m.png holds values up to 2 of 255: expected 0 .* 255"):
        read_mask(_save(tmp_path / "m.png", labels))


def test_masks_with_a_black_object_are_inverted_and_masks_at_the_border_are_not():
    cut = np.zeros((12, 16))
    cut[3:, 4:12] = 1.0
    assert are_inverted([1.0 - MASK, 1.0 - MASK, 1.0 - cut])
    assert not are_inverted([MASK * 1.0, cut, cut])
    assert not are_inverted([np.ones((12, 16))])


def _with_masks(folder, mask, frames=(0, 1, 2)):
    """The tiny capture, opaque before a coloured room, with mask files."""
    rng = np.random.default_rng(0)

    def change(meta):
        for index, frame in enumerate(meta["frames"]):
            _save(folder / frame["file_path"], rng.integers(0, 256, (12, 16, 3), np.uint8))
            if index in frames:
                _save(folder / "masks" / f"{index}.png", mask)
                frame["mask_path"] = f"masks/{index}.png"

    return tiny(folder, change)


def test_mask_files_are_used_and_turned_if_the_object_is_black(tmp_path):
    right = load_dataset(_with_masks(tmp_path / "a", _grey(255))).inputs
    np.testing.assert_array_equal(right.masks, np.stack([MASK] * 3))
    assert right.mask_sources == ("file",) * 3 and not right.notes
    turned = load_dataset(_with_masks(tmp_path / "b", 255 - _grey(255))).inputs
    np.testing.assert_array_equal(turned.masks, right.masks)
    assert turned.notes[0].startswith("warning: the object is black in the 3 mask files")


def test_a_missing_mask_is_found_beside_the_others_or_named(tmp_path):
    spec = _with_masks(tmp_path, _grey(255), frames=(0, 2))
    with pytest.raises(ValueError, match="no mask for .*1.png, while 2 of 3 pictures have a mask"):
        load_dataset(spec)
    _save(tmp_path / "masks" / "1.png", _grey(255))
    np.testing.assert_array_equal(load_dataset(spec).inputs.masks, np.stack([MASK] * 3))


@pytest.mark.parametrize("place", ["Masks/{}.png", "segmentation/{}.png", "{}_mask.png"])
def test_masks_of_other_programs_are_found(place, tmp_path):
    spec = _with_masks(tmp_path, _grey(255), frames=())
    folder = next(tmp_path.rglob("0.png")).parent
    for k in range(3):
        _save(folder / place.format(k), _grey(255))
    views = load_dataset(spec).inputs
    np.testing.assert_array_equal(views.masks, np.stack([MASK] * 3))
    (folder / place.format(1)).unlink()
    if place.startswith("{}"):
        with pytest.raises(ValueError, match="no mask for .*1.png"):
            load_dataset(spec)
    else:
        assert "are not used" in load_dataset(spec).inputs.notes[0]


@pytest.mark.parametrize("how", ["right", "mirrored", "wide", "boxes"])
def test_masks_that_are_not_their_pictures_are_told_of(how):
    """Discs off the middle before a plain wall; what stands out tells whether masks fit."""
    y, x = np.mgrid[:12, :16]
    disc = (x - 4) ** 2 + (y - 6) ** 2 <= 9
    given = {
        "right": disc,
        "mirrored": disc[:, ::-1],
        "wide": (x - 4) ** 2 + (y - 6) ** 2 <= 20,
        "boxes": (abs(x - 4) <= 4) & (abs(y - 6) <= 4),
    }[how]
    wall = np.where(disc[..., None], np.float32([0.8, 0.2, 0.2]), np.float32([0.4, 0.5, 0.6]))
    notes = misfit_note([Picture(wall, None)] * 3, [given.astype(np.float32)] * 3)
    assert any("the mask files overlap by" in note for note in notes) == (how != "right"), notes
    # Nothing is told before a busy background, or of cut-outs.
    room = np.random.default_rng(0).random(wall.shape, np.float32)
    assert not misfit_note([Picture(room, None)] * 3, [given.astype(np.float32)] * 3)
    assert not misfit_note([Picture(wall, np.ones((12, 16), np.float32))] * 3, [given] * 3)


def test_a_folder_of_masks_that_is_not_used_is_named(tmp_path):
    spec = _with_masks(tmp_path, _grey(255), frames=())
    _save(tmp_path / "masks" / "other.png", _grey(255))
    views = load_dataset(spec).inputs
    assert views.masks is None
    assert views.notes[0].startswith(f"warning: the masks in {tmp_path / 'masks'} are not used")
    for k in range(16):
        rgb = np.where(MASK[:, :12, None], 90, 255).astype(np.uint8) * np.ones(3, np.uint8)
        _save(tmp_path / "views" / f"{k}.png", rgb)
    _save(tmp_path / "views" / "masks" / "0.png", _grey(255))
    views = load_dataset(DataSpec(kind="folder", path=str(tmp_path / "views"))).inputs
    assert "views/masks are not used; pictures of a rig" in views.notes[0]
