"""A folder of weights is read whole, or says what is wrong with it."""

import errno
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxvsnerf.errors import StorageError
from jaxvsnerf.generation import weights as weights_module
from jaxvsnerf.generation.spec import TINY
from jaxvsnerf.generation.weights import load_weights, read_info, save_weights
from jaxvsnerf.system.checksums import json_checksum
from tests.generator_weights import save_tiny, tiny_params

pytestmark = pytest.mark.unoptimized


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny", "zero123")


def edited(folder, target, **changes):
    """A copy whose weights.json says something else."""
    shutil.copytree(folder, target)
    found = json.loads((target / "weights.json").read_text())
    del found["checksum"]
    found |= changes
    found["checksum"] = json_checksum(found)
    (target / "weights.json").write_text(json.dumps(found))
    return target


def test_weights_go_to_the_devices_asked_for(folder):
    info = read_info(folder)
    assert info.spec == TINY
    found = load_weights(folder, info, "bfloat16", jax.local_devices())
    for leaf, expected in zip(
        jax.tree.leaves(found), jax.tree.leaves(tiny_params("zero123")), strict=True
    ):
        assert leaf.sharding.device_set == set(jax.local_devices())
        assert leaf.sharding.is_fully_replicated
        np.testing.assert_array_equal(leaf, expected.astype(leaf.dtype))


def test_missing_weights_say_what_to_download_and_how_to_convert_it(tmp_path):
    for model, names in (
        ("syncdreamer", ["syncdreamer-pretrain.ckpt", "5.2 GB"]),
        ("zero123", ["105000.ckpt", "15 GB"]),
        (None, ["syncdreamer-pretrain.ckpt", "105000.ckpt"]),
    ):
        with pytest.raises(FileNotFoundError) as raised:
            read_info(tmp_path / "weights", model)
        said = str(raised.value)
        convert = f"python -m jaxvsnerf.convert --from=FILE --to={tmp_path / 'weights'}"
        assert all(text in said for text in (*names, convert, "jaxvsnerf[convert]")), said


def test_weights_of_another_model_or_version_or_size_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="weights of zero123, expected those of syncdreamer"):
        read_info(folder, "syncdreamer")
    with pytest.raises(ValueError, match="format 1, got 99"):
        read_info(edited(folder, tmp_path / "later", format_version=99))
    for index, changes in enumerate(({"model": "other"}, {"spec": {"width": 3}}, {"dtype": 3})):
        with pytest.raises(ValueError, match="weights.json: expected (model|spec|dtype)"):
            read_info(edited(folder, tmp_path / str(index), **changes))
    wider = {**vars(TINY), "autoencoder_width": 64}
    target = edited(folder, tmp_path / "wider", spec=wider)
    with pytest.raises(ValueError, match="no whole weights of zero123"):
        load_weights(target, read_info(target), "float32")


def test_damaged_weights_are_refused(folder, tmp_path):
    for index, damage in enumerate((lambda f: f.unlink(), lambda f: f.write_bytes(b"cut"))):
        target = tmp_path / str(index)
        shutil.copytree(folder, target)
        largest = max((p for p in target.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        damage(largest)
        with pytest.raises(ValueError, match="no whole weights"):
            load_weights(target, read_info(target), "float32")
    (target / "weights.json").write_text("{")
    with pytest.raises(ValueError, match="weights.json"):
        read_info(target)


def test_a_flipped_bit_of_weights_is_refused(folder, tmp_path):
    """In each file that holds numbers, and in each place of weights.json."""
    target = tmp_path / "weights"
    shutil.copytree(folder, target)
    random = np.random.default_rng(3)
    for path in sorted(path for path in target.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for _ in range(12 if path.name == "weights.json" else 1):
            place, bit = int(random.integers(len(whole))), int(random.integers(8))
            flipped = bytes([whole[place] ^ 1 << bit])
            path.write_bytes(whole[:place] + flipped + whole[place + 1 :])
            with pytest.raises(ValueError, match="no whole weights|weights.json: "):
                load_weights(target, read_info(target), "float32")
        path.write_bytes(whole)
    load_weights(target, read_info(target), "float32")


def test_weights_of_a_version_without_checksums_are_read(folder, tmp_path):
    target = tmp_path / "older"
    shutil.copytree(folder, target)
    found = json.loads((target / "weights.json").read_text())
    del found["checksum"], found["files"]
    (target / "weights.json").write_text(json.dumps(found))
    load_weights(target, read_info(target), "float32")


def test_weights_that_cannot_be_replaced_stay(tmp_path, monkeypatch):
    info = read_info(save_tiny(tmp_path / "weights", "zero123"))
    before = (tmp_path / "weights" / "weights.json").read_bytes()
    rename = Path.rename

    def refused(path, target):
        if target == tmp_path / "weights" and not path.name.endswith(".replaced"):
            raise OSError(errno.EIO, "Input/output error", str(target))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(OSError, match="Input/output error"):
        save_weights(tmp_path / "weights", info, tiny_params("zero123"), overwrite=True)
    assert (tmp_path / "weights" / "weights.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_weights_that_a_killed_process_set_aside_come_back(tmp_path, monkeypatch):
    info = read_info(save_tiny(tmp_path / "weights", "zero123"))
    (tmp_path / "weights").rename(tmp_path / ".weights.replaced")
    with monkeypatch.context() as patch:
        patch.setattr(weights_module, "check_room", _full)
        with pytest.raises(StorageError, match="No space left"):
            save_weights(tmp_path / "weights", info, tiny_params("zero123"), overwrite=True)
    load_weights(tmp_path / "weights", read_info(tmp_path / "weights"), "float32")
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def _full(folder, size):
    raise OSError(errno.ENOSPC, "No space left on device", str(folder))
