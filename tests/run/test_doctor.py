"""What is installed, and whether it trains."""

import pytest

from jaxvsnerf.run import doctor
from jaxvsnerf.system.installation import missing_by_extra
from tests import commands


def test_an_extra_lacks_what_is_not_installed():
    asked = [
        "jax>=0.10",
        'trimesh; extra == "export"',
        "xatlas>=0.0.11 ; extra == 'export'",
        'jax[cuda13]>=0.10; extra == "gpu"',
        'ray>=2.9; extra == "cluster"',
        'pytest>=8; extra == "test"',
    ]
    there = {"jax": "0.10", "trimesh": "5", "ray": "2.9"}
    assert missing_by_extra(asked, there.get) == {
        "export": ("xatlas",),
        "gpu": ("jax-cuda13-plugin",),
        "cluster": (),
    }


def test_a_gpu_that_jax_does_not_see_is_a_problem_with_a_way_out(monkeypatch):
    monkeypatch.setattr(doctor, "nvidia_gpus", lambda: ["a GPU"])
    [problem] = doctor.examine(0.0)
    assert "pip install 'jaxvsnerf[gpu]'" in problem and "nvidia-smi" in problem
    monkeypatch.setattr(doctor, "nvidia_gpus", list)
    assert not doctor.examine(0.0)


def test_a_training_that_does_not_gain_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "try_training", lambda s: doctor.Trial(1.0, 9.0, 12.0, 12.5, True))
    [problem] = doctor.examine(1.0)
    assert "did not train" in problem and "12.5" in problem


@pytest.mark.slow
def test_the_command_trains_and_finds_all_well():
    done = commands.run("doctor", "--seconds=0.1", env=commands.QUICK_TO_COMPILE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "steps/s" in done.stdout and "all is well" in done.stdout
    assert "extra export: complete" in done.stdout
