"""Downloaded checkpoints become a folder of weights, or are refused and leave nothing."""

import re
import sys
import warnings
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.generation.conversion import (
    CLIP_PREFIX,
    convert_state,
    guess_model,
    guess_spec,
    with_clip,
)
from jaxvsnerf.generation.convert import convert_file
from jaxvsnerf.generation.spec import FULL, TINY
from jaxvsnerf.generation.state_files import State, read_state
from jaxvsnerf.generation.weights import load_weights, read_info
from tests import commands
from tests.generator_weights import save_state, tiny_params, tiny_state

pytestmark = pytest.mark.unoptimized
UNET_OUT = "model.diffusion_model.out.2.bias"


def silent(line, *, passing=False):
    """Takes what a command would print."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """(file of SyncDreamer's whole state, state, parameters)"""
    path = tmp_path_factory.mktemp("download") / "model.safetensors"
    state = tiny_state()
    return save_state(path, state), state, tiny_params()


def in_memory(state):
    """A state as if read from a file."""
    return State({name: lambda value=value: value for name, value in state.items()})


def loaded(folder, dtype="float32"):
    return load_weights(folder, read_info(folder), dtype)


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_checkpoint_comes_back_as_the_parameters_it_was_made_of(checkpoint, tmp_path):
    path, _, params = checkpoint
    folder, other = tmp_path / "weights", tmp_path / "other"
    info = convert_file(path, folder, say=silent)
    assert info == read_info(folder, "syncdreamer") and info.dtype == "float32"
    (source,) = info.sources
    assert (source.file, source.bytes) == (path.name, path.stat().st_size)
    assert re.fullmatch("[0-9a-f]{64}", source.sha256)
    assert_equal(loaded(folder), params)
    # What is there is replaced only where asked, and only weights.
    with pytest.raises(ValueError, match="--overwrite"):
        convert_file(path, folder, dtype="bfloat16", say=silent)
    assert convert_file(path, folder, dtype="bfloat16", overwrite=True, say=silent) != info
    other.mkdir()
    (other / "thesis.txt").touch()
    with pytest.raises(ValueError, match="holds no weights"):
        convert_file(path, other, overwrite=True, say=silent)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "weights"]
    # Read wider than stored, the numbers stay.
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16).astype(np.float32), params)
    assert_equal(loaded(folder), narrow)


def test_half_precision_and_a_clip_archive_are_read(tmp_path):
    """Zero-1-to-3 in bfloat16, with CLIP in float16 beside it, as OpenAI has it."""
    state, prefix = tiny_state("zero123"), CLIP_PREFIX["zero123"]
    constants = ("betas", "alphas_cumprod")
    clip = {k: v.astype(np.float16) for k, v in state.items() if k.startswith(prefix)}
    rest = {
        k: v if k in constants else v.astype(jnp.bfloat16)
        for k, v in state.items()
        if k not in clip
    }
    clip = {name.removeprefix(prefix): value for name, value in clip.items()}
    clip["input_resolution"] = np.int64(224)
    clip["transformer.resblocks.0.ln_1.bias"] = clip["ln_final.bias"]
    path = save_state(tmp_path / "rest.safetensors", rest)
    archive = save_state(tmp_path / "clip.safetensors", clip)
    folder = tmp_path / "weights"
    with pytest.raises(ValueError, match="ViT-L-14.pt.*--clip"):
        convert_file(path, folder, say=silent)
    with pytest.raises(ValueError, match="ViT-L/14"):
        convert_file(path, folder, clip=path, say=silent)
    info = convert_file(path, folder, clip=archive, model="zero123", say=silent)
    assert [source.file for source in info.sources] == ["rest.safetensors", "clip.safetensors"]

    def stored(path, leaf):
        narrow = np.float16 if path[0].key == "clip" else jnp.bfloat16
        return leaf.astype(narrow).astype(np.float32)

    assert_equal(loaded(folder), jax.tree_util.tree_map_with_path(stored, tiny_params("zero123")))


def test_a_clip_archive_that_is_not_needed_is_refused(checkpoint):
    state = in_memory(checkpoint[1])
    with pytest.raises(ValueError, match="holds CLIP's weights itself"):
        with_clip(state, state, "syncdreamer", TINY)


def changed(state, **changes):
    """A copy with arrays replaced, added, or (None) left out."""
    return {k: v for k, v in {**state, **changes}.items() if v is not None}


def test_checkpoints_that_do_not_fit_are_refused_by_the_names_of_their_arrays(checkpoint):
    _, state, _ = checkpoint
    bias = state[UNET_OUT]
    for given, message in (
        (changed(state, **{UNET_OUT: None}), f"1 missing: {UNET_OUT}"),
        (changed(state, surplus=bias), "1 unknown: surplus"),
        (changed(state, **{UNET_OUT: bias[:3]}), rf"another shape: {UNET_OUT} \(3,\)"),
        (changed(state, betas=state["betas"] * 2), "betas"),
        (changed(state, **{UNET_OUT: bias * np.nan}), "unet.*not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            convert_state(in_memory(given), "syncdreamer", TINY, "float32")


def test_whose_checkpoint_it_is_is_told_by_its_arrays(checkpoint, tmp_path):
    path, state, _ = checkpoint
    assert guess_model(state) == "syncdreamer" and guess_spec(state) == TINY
    wide = {"model.diffusion_model.time_embed.0.weight": np.zeros((1280, 320))}
    assert guess_model(wide) == "zero123" and guess_spec(wide) == FULL
    with pytest.raises(ValueError, match="of neither: fc.weight"):
        guess_model({"fc.weight": 0})
    with pytest.raises(ValueError, match="checkpoint of syncdreamer, not of zero123"):
        convert_file(path, tmp_path / "weights", model="zero123", say=silent)
    assert not (tmp_path / "weights").exists()


def test_damaged_files_are_refused(checkpoint, tmp_path):
    path, _, _ = checkpoint
    data = path.read_bytes()
    for name, content in (
        ("cut.safetensors", data[: len(data) // 2]),
        ("empty.safetensors", b""),
        ("cut.ckpt", data[:1000]),
        ("empty.ckpt", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}.*download it again"):
            read_state(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="absent.ckpt"):
        read_state(tmp_path / "absent.ckpt")


def test_without_pytorch_its_archives_say_what_to_install(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "model.ckpt", "w") as archive:
        archive.writestr("model/data.pkl", b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'jaxvsnerf[convert]'")):
        read_state(tmp_path / "model.ckpt")


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
    (tmp_path / "cut.ckpt").write_bytes(b"PK\x03\x04 and no more")
    refused = commands.run_each(
        ("convert", f"--from={tmp_path / 'cut.ckpt'}", f"--to={tmp_path / 'w'}"), ("convert",)
    )
    messages = ("download it again", "expected --from=CHECKPOINT and --to=FOLDER")
    for done, message in zip(refused, messages, strict=True):
        assert done.returncode == 1 and message in done.stderr, done.stderr
        assert "Traceback" not in done.stderr and not (tmp_path / "w").exists()


class Foreign:
    """An object that a pickle builds by running code."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def test_a_training_checkpoint_of_pytorch_is_read_and_nothing_of_it_is_run(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch, of the extra `convert`, is absent")
    state = {name: torch.tensor(value) for name, value in tiny_state("zero123").items()}
    path, mark = tmp_path / "model.ckpt", tmp_path / "mark"
    # As PyTorch Lightning writes it: callbacks by their class, a class that is not here.
    with pytest.MonkeyPatch.context() as patch:
        module = type(sys)("pytorch_lightning.callbacks")
        module.Saver = type("Saver", (), {"__module__": module.__name__, "__qualname__": "Saver"})
        patch.setitem(sys.modules, "pytorch_lightning", type(sys)("pytorch_lightning"))
        patch.setitem(sys.modules, module.__name__, module)
        saver = module.Saver()
        saver.best = 1.0
        torch.save({"state_dict": state, "callbacks": {module.Saver: saver}, "epoch": 3}, path)
    convert_file(path, tmp_path / "weights", say=silent)
    assert_equal(loaded(tmp_path / "weights"), tiny_params("zero123"))
    torch.save({"state_dict": state, "other": Foreign(mark)}, path)
    with pytest.raises(ValueError, match="which is not run: .*open"):
        read_state(path)
    assert not mark.exists()
    torch.save({"state_dict": {**state, "step": 3}}, path)
    with pytest.raises(ValueError, match="int at 'step'"):
        read_state(path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ValueError, match="download it again"):
        read_state(path)


def test_torchscript_is_read_as_openais_clip_comes(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch, of the extra `convert`, is absent")
    layer = torch.nn.Linear(2, 3).half()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(layer), tmp_path / "clip.pt")
    state = read_state(tmp_path / "clip.pt")
    assert set(state) == {"weight", "bias"} and state["weight"].dtype == np.float16
    np.testing.assert_array_equal(state["weight"], layer.weight.detach().numpy())
    # So is a plain state dict, in bfloat16.
    torch.save(layer.bfloat16().state_dict(), tmp_path / "plain.pt")
    plain = read_state(tmp_path / "plain.pt")
    np.testing.assert_array_equal(
        plain["bias"].astype(np.float32), layer.bias.detach().float().numpy()
    )
