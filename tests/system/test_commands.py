"""A run from end to end: what it leaves and what reads it."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import trimesh

import jaxvsnerf
from tests import commands

STAGES = ("stage1", "stage2", "stage3")


def test_one_command_leaves_everything_the_readme_lists(run_folder):
    for name in (
        "config.json",
        "scene.json",
        "metrics.jsonl",
        "eval/metrics.json",
        "eval/metrics.csv",
        "renders/turntable.mp4",
        "mesh.glb",
        "report.html",
    ):
        assert (run_folder / name).stat().st_size > 0, name
    assert len(list((run_folder / "renders").glob("input_*.png"))) == 4
    assert len(list((run_folder / "renders").glob("novel_*.png"))) > 0
    assert len(list((run_folder / "renders").glob("disagreement_*.png"))) == 4
    page = (run_folder / "report.html").read_text()
    assert "<th>disagreement</th>" in page and "data:model/gltf-binary;" in page
    assert sorted(p.name for p in (run_folder / "checkpoints").iterdir()) == list(STAGES)


def test_the_scores_have_every_stage_and_the_inputs(run_folder):
    metrics = json.loads((run_folder / "eval" / "metrics.json").read_text())
    assert tuple(metrics["stages"]) == STAGES
    assert metrics["psnr"] == metrics["stages"]["stage3"]["psnr"]
    for scores in (metrics, metrics["inputs"], *metrics["stages"].values()):
        for name in ("psnr", "ssim", "ssim_crop5"):
            values = scores[name]
            assert values["mean"] == pytest.approx(np.mean(values["per_view"]))
    assert "stage3" in (run_folder / "stdout.txt").read_text()


def test_a_trained_field_is_one_call_away(run_folder):
    field = jaxvsnerf.load(run_folder)
    picture = field.render(field.cameras)
    assert picture.rgb.shape == (4, 24, 24, 3)
    assert (
        np.isfinite(picture.rgb).all() and picture.rgb.min() >= 0 and picture.rgb.max() <= 1 + 1e-6
    )
    density, rgb = field.query(np.zeros((3, 3)))
    assert density.shape == (3,) and rgb.shape == (3, 3) and density[0] >= 0
    for mode in ("canonical", "nearest", "fused"):
        assert jaxvsnerf.load(run_folder, mode=mode).render(field.cameras).rgb.shape[0] == 4
    # The nearest view of an input camera is its own.
    own = jaxvsnerf.load(run_folder, mode="nearest").render(field.cameras).rgb
    assert np.abs(own - picture.rgb).max() > 0
    with pytest.raises(ValueError, match="stage1, stage2, stage3"):
        jaxvsnerf.load(run_folder, stage="stage4")
    with pytest.raises(ValueError, match="mode"):
        jaxvsnerf.load(run_folder, mode="blend")


def test_evaluate_render_export_report_take_the_workdir_alone(run_folder, tmp_path, cache):
    folder = tmp_path / "copy"
    shutil.copytree(run_folder, folder)
    scores = (folder / "eval" / "metrics.json").read_text()
    made = ("eval/metrics.json", "renders/turntable.mp4", "mesh.glb", "report.html")
    for name, product in zip(("evaluate", "render", "export", "report"), made, strict=True):
        (folder / product).unlink()
        done = commands.run(name, f"--workdir={folder}", env=cache)
        assert done.returncode == 0, done.stderr
        assert (folder / product).stat().st_size > 0
    assert (folder / "eval" / "metrics.json").read_text() == scores


def test_two_runs_of_one_command_are_bit_equal(run_folder, tmp_path, cache):
    done = commands.run("train", *commands.train_arguments(tmp_path / "again"), env=cache)
    assert done.returncode == 0, done.stderr
    commands.assert_same_bits(run_folder, tmp_path / "again")
    first, second = (
        (folder / "eval" / "metrics.json").read_text()
        for folder in (run_folder, tmp_path / "again")
    )
    assert first == second


def test_an_empty_surface_names_the_flag_value_that_gives_one(run_folder, tmp_path, cache):
    folder = tmp_path / "surface"
    shutil.copytree(run_folder, folder)
    done = commands.run("export", f"--workdir={folder}", "--level=1e6", env=cache)
    assert done.returncode == 1 and "no surface at level" in done.stderr
    level = done.stderr.split("level=")[1].split()[0]
    done = commands.run("export", f"--workdir={folder}", f"--level={level}", env=cache)
    assert done.returncode == 0, done.stderr


def test_the_package_imports_silently_touching_no_device():
    script = (
        "import sys, time, jax, flax.linen, flax.struct\n"
        "import jax._src.xla_bridge as bridge\n"
        "before, start = set(sys.modules), time.process_time()\n"
        "import jaxvsnerf, jaxvsnerf.train\n"
        "assert time.process_time() - start < 2, 'slow to import'\n"
        "assert not bridge._backends, 'a device was touched'\n"
        "new = {m.split('.')[0] for m in set(sys.modules) - before}\n"
        "heavy = new & {'orbax', 'tensorstore', 'trimesh', 'skimage', 'jinja2', 'imageio_ffmpeg'}\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [commands.command("train")[0], "-c", script],
        capture_output=True,
        text=True,
        env=commands.environment(),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stderr


def test_the_readmes_example_runs_on_a_finished_run(run_folder, tmp_path):
    text = (commands.ROOT / "README.md").read_text()
    script = text.split("```python\n")[1].split("```")[0]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "quickstart").symlink_to(run_folder)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=commands.environment(),
    )
    assert done.returncode == 0, done.stderr
    assert "(2, 48, 64, 3) (2, 48, 64) (5,)" in done.stdout


def test_geometry_and_lpips_are_scored_where_their_files_are_named(run_folder, tmp_path):
    """A run with the files named in its settings, as --config.data.mesh would have it."""
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    trimesh.creation.icosphere(3, 0.3).export(tmp_path / "true.ply")
    settings = json.loads((run / "config.json").read_text())
    settings["data"]["mesh"] = str(tmp_path / "true.ply")
    (run / "config.json").write_text(json.dumps(settings))
    done = commands.run("export", f"--workdir={run}", "--resolution=20")
    assert done.returncode == 0, done.stderr
    scores = json.loads((run / "eval" / "geometry.json").read_text())
    assert set(scores) == {"chamfer", "iou"} and f"volume IoU {scores['iou']:.4f}" in done.stdout
    done = commands.run("report", f"--workdir={run}")
    assert done.returncode == 0 and "Chamfer distance" in (run / "report.html").read_text()
    # A mesh that lies elsewhere is refused.
    trimesh.creation.icosphere(3, 30.0).export(tmp_path / "true.ply")
    done = commands.run("export", f"--workdir={run}", "--resolution=20")
    assert done.returncode == 1 and "in the frame of the cameras" in done.stderr
    # Pictures of 24x24 are too small for LPIPS, which is said before anything is rendered.
    settings["metrics"]["lpips"] = str(tmp_path / "none.npz")
    (run / "config.json").write_text(json.dumps(settings))
    done = commands.run("evaluate", f"--workdir={run}")
    assert done.returncode == 1 and "at least 32 pixels" in done.stderr
