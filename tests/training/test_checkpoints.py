"""A checkpoint loads the numbers that were saved, or is known to be broken."""

import json
import os
import shutil
from contextlib import closing

import jax
import numpy as np
import pytest

from jaxvsnerf.training.checkpoints import BrokenCheckpoint, Checkpoints
from jaxvsnerf.types import TrainState

FLIPS = 60


def state(step):
    """A state of arrays that compress well and badly, of several dtypes."""
    random = np.random.default_rng(step)
    params = {
        "w": random.normal(size=(40, 30)).astype(np.float32),
        "half": jax.numpy.asarray(random.normal(size=9), "bfloat16"),
        "zero": np.zeros(50, np.float32),
    }
    return TrainState(np.int32(step), params, {"m": np.arange(7, dtype=np.int32)}, None)


def equal(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def newest(folder):
    """What training would go on from."""
    with closing(Checkpoints(folder, ("stage1",))) as checkpoints:
        return checkpoints.restore_newest(lambda _: state(0))[1]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with the states of steps 1 and 2."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    with closing(Checkpoints(folder, ("stage1",))) as checkpoints:
        for step in (1, 2):
            checkpoints.save("stage1", state(step))
    return folder


def test_a_flipped_bit_is_noticed_or_changes_no_number(saved, tmp_path):
    random = np.random.default_rng(7)
    files = sorted(path for path in (saved / "stage1" / "2").rglob("*") if path.is_file())
    noticed = 0
    for index in range(FLIPS):
        folder = tmp_path / str(index)
        shutil.copytree(saved, folder)
        file = folder / files[index % len(files)].relative_to(saved)
        data = bytearray(file.read_bytes())
        place, bit = int(random.integers(len(data))), int(random.integers(8))
        data[place] ^= 1 << bit
        file.write_bytes(data)
        found = newest(folder)
        broken = (folder / "broken" / "stage1-2").is_dir()
        assert equal(found, state(1 if broken else 2)), f"{file}: bit {bit} of byte {place}"
        noticed += broken
    assert FLIPS / 4 < noticed < FLIPS


def meta_of(folder):
    return folder / "stage1" / "2" / "meta" / "metadata"


def test_every_flipped_bit_of_the_checksums_is_noticed(saved, tmp_path):
    folder = tmp_path / "checkpoints"
    shutil.copytree(saved, folder)
    path = meta_of(folder)
    whole = path.read_bytes()
    for place in range(0, len(whole), 23):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with closing(Checkpoints(folder, ("stage1",))) as checkpoints:
            with pytest.raises(BrokenCheckpoint, match="checkpoint stage1 step 2 .*cannot be read"):
                checkpoints.restore("stage1", 2, state(0))


def test_a_checkpoint_without_checksums_is_one_of_an_older_version(saved, tmp_path):
    folder = tmp_path / "checkpoints"
    shutil.copytree(saved, folder)
    facts = json.loads(meta_of(folder).read_text())
    older = {name: facts[name] for name in ("format_version", "stage", "step")}
    meta_of(folder).write_text(json.dumps(older))
    assert equal(newest(folder), state(2)) and not (folder / "broken").exists()


def test_a_checkpoint_in_anothers_place_is_broken(saved, tmp_path):
    folder = tmp_path / "checkpoints"
    shutil.copytree(saved, folder)
    shutil.copytree(folder / "stage1" / "2", folder / "stage1" / "3")
    assert equal(newest(folder), state(2)) and (folder / "broken" / "stage1-3").is_dir()


def test_a_saved_checkpoint_is_on_the_disk_whole(tmp_path, monkeypatch):
    waited, fsync = set(), os.fsync

    def noted(descriptor):
        waited.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with closing(Checkpoints(tmp_path / "checkpoints", ("stage1",))) as checkpoints:
        checkpoints.save("stage1", state(1))
    home = tmp_path / "checkpoints" / "stage1"
    assert {path.stat().st_ino for path in (home, *home.rglob("*"))} <= waited


def test_a_checkpoint_that_was_cut_off_goes_when_training_goes_on(saved, tmp_path):
    folder = tmp_path / "checkpoints"
    shutil.copytree(saved, folder)
    cut = folder / "stage1" / "3.orbax-checkpoint-tmp-4" / "state"
    cut.mkdir(parents=True)
    (cut / "array").touch()
    with closing(Checkpoints(folder, ("stage1",))) as checkpoints:
        checkpoints.restore("stage1", 2, state(0))  # as a reader beside the training does
        assert checkpoints.steps("stage1") == [1, 2] and cut.is_dir()
    assert equal(newest(folder), state(2))
    assert sorted(path.name for path in (folder / "stage1").iterdir()) == ["1", "2"]
