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
        "resolved.json",
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


def test_evaluate_render_export_report_take_the_workdir_alone(run_folder, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run_folder, folder)
    scores = (folder / "eval" / "metrics.json").read_text()
    made = ("eval/metrics.json", "renders/turntable.mp4", "mesh.glb", "report.html")
    for product in made:
        (folder / product).unlink()
    names = ("evaluate", "render", "export", "report")
    for done in commands.run_each(*((name, f"--workdir={folder}") for name in names)):
        assert done.returncode == 0, done.stderr
    assert all((folder / product).stat().st_size > 0 for product in made)
    assert (folder / "eval" / "metrics.json").read_text() == scores


@pytest.mark.slow
def test_an_empty_surface_names_the_flag_value_that_gives_one(run_folder, tmp_path):
    folder = tmp_path / "surface"
    shutil.copytree(run_folder, folder)
    done = commands.run("export", f"--workdir={folder}", "--level=1e6")
    assert done.returncode == 1 and "no surface at level" in done.stderr
    level = done.stderr.split("level=")[1].split()[0]
    done = commands.run("export", f"--workdir={folder}", f"--level={level}")
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


def with_settings(run_folder, folder, section, **values):
    """A copy of a run, with files named in its settings as --config.section.name would have it."""
    shutil.copytree(run_folder, folder)
    resolved = json.loads((folder / "resolved.json").read_text())
    resolved["settings"][section].update(values)
    (folder / "resolved.json").write_text(json.dumps(resolved))
    return folder


@pytest.mark.slow
def test_geometry_and_lpips_are_scored_where_their_files_are_named(run_folder, tmp_path):
    folders = []
    for name, radius in (("true", 0.3), ("elsewhere", 30.0)):
        mesh = tmp_path / f"{name}.ply"
        trimesh.creation.icosphere(3, radius).export(mesh)
        folders.append(with_settings(run_folder, tmp_path / name, "data", mesh=str(mesh)))
    weights = {"lpips": str(tmp_path / "none.npz")}
    folders.append(with_settings(run_folder, tmp_path / "small", "metrics", **weights))
    run, elsewhere, small = folders
    scored, page, refused, too_small = commands.run_each(
        ("export", f"--workdir={run}", "--resolution=20"),
        ("report", f"--workdir={run}"),
        ("export", f"--workdir={elsewhere}", "--resolution=20"),
        ("evaluate", f"--workdir={small}"),
    )
    assert scored.returncode == 0, scored.stderr
    scores = json.loads((run / "eval" / "geometry.json").read_text())
    assert set(scores) == {"chamfer", "iou", "normal_deg"}
    assert f"volume IoU {scores['iou']:.4f}" in scored.stdout
    assert page.returncode == 0 and "Chamfer distance" in (run / "report.html").read_text()
    # A mesh that lies elsewhere is refused.
    assert refused.returncode == 1 and "in the frame of the cameras" in refused.stderr
    # Pictures of 24x24 are too small for LPIPS, which is said before anything is rendered.
    assert too_small.returncode == 1 and "at least 32 pixels" in too_small.stderr
