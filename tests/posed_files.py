"""Captures of the toy in anybody's frame, as files, and what they must load as."""

import json

import numpy as np
from PIL import Image

from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.geometry.cameras import orbit_cameras, project, transform_cameras, transform_points
from jaxvsnerf.simulate.toy_object import toy_sdf
from jaxvsnerf.types import Similarity

WIDTH, HEIGHT, FOCAL = 64, 48, 52.0
TURN = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])  # a proper rotation
# The cube's frame -> a capture's frame.
ELSEWHERE = Similarity(np.float32(3.7), TURN, np.array([5.0, -2.0, 1.0]))
SHIFTED = Similarity(np.float32(2.5), np.eye(3), np.array([0.0, 0.4, -0.3]))


def c2w(cameras):
    """[V, 4, 4] OpenGL camera-to-world, as these files write it."""
    w2c = np.tile(np.eye(4), (len(cameras.w2c), 1, 1))
    w2c[:, :3] = cameras.w2c
    return np.linalg.inv(w2c) @ np.diag([1.0, -1.0, -1.0, 1.0])


def save(path, image, mask):
    """Straight alpha on white, undone: rgb = (image - (1 - a)) / a."""
    alpha = mask[..., None]
    rgb = np.where(alpha > 0, (image - (1 - alpha)) / np.maximum(alpha, 1e-6), 0).clip(0, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.round(np.concatenate([rgb, alpha], -1) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def write_blender(folder, toy, similarity=None, split="train", index=range(12)):
    cameras, images, masks = toy
    moved = cameras if similarity is None else transform_cameras(cameras, similarity)
    poses = c2w(moved)
    frames = []
    for k in index:
        save(folder / split / f"r_{k}.png", images[k], masks[k])
        frames.append({"file_path": f"./{split}/r_{k}", "transform_matrix": poses[k].tolist()})
    meta = {"camera_angle_x": 2 * np.arctan(0.5 * WIDTH / FOCAL), "frames": frames}
    (folder / f"transforms_{split}.json").write_text(json.dumps(meta))
    return meta


def write_ngp(folder, toy, similarity=None, **fields):
    cameras, images, masks = toy
    moved = cameras if similarity is None else transform_cameras(cameras, similarity)
    frames = []
    for k, pose in enumerate(c2w(moved)):
        save(folder / "images" / f"{k:04d}.png", images[k], masks[k])
        frames.append({"file_path": f"images/{k:04d}.png", "transform_matrix": pose.tolist()})
    meta = {
        "camera_model": "OPENCV",
        "fl_x": FOCAL,
        "fl_y": FOCAL,
        "cx": WIDTH / 2,
        "cy": HEIGHT / 2,
        "w": WIDTH,
        "h": HEIGHT,
        "k1": 0.0,
        "p1": 0,
        "aabb_scale": 4,
        "frames": frames,
    }
    meta.update(fields)
    (folder / "transforms.json").write_text(json.dumps(meta))
    return meta


def tiny(folder, change=None, **fields):
    """Three small posed pictures; `change` edits the parsed file before it is written."""
    cameras = orbit_cameras([0.0, 90.0, 200.0], 20.0, 4.0, 20.0, 16, 12)
    frames = []
    for k, pose in enumerate(c2w(cameras)):
        alpha = np.zeros((12, 16))
        alpha[3:9, 4:12] = 1.0
        save(folder / f"{k}.png", np.full((12, 16, 3), 0.5), alpha)
        frames.append({"file_path": f"{k}.png", "transform_matrix": pose.tolist()})
    meta = {"fl_x": 20.0, "frames": frames, **fields}
    if change:
        change(meta)
    (folder / "transforms.json").write_text(json.dumps(meta))
    return DataSpec(kind="transforms", path=str(folder))


def assert_consistent(data, toy, similarity):
    """Loaded cameras see points of the toy, carried into the cube, where they were drawn."""
    cameras = toy[0]
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (200, 3)).astype(np.float32)
    in_cube = transform_points(transform_points(points, similarity), data.to_cube)
    for k in range(len(cameras.w2c)):
        drawn, _ = project(cameras.intrinsics[k], cameras.w2c[k], points)
        loaded = data.inputs.cameras
        seen, _ = project(loaded.intrinsics[k], loaded.w2c[k], in_cube)
        np.testing.assert_allclose(seen, drawn, atol=2e-2)


def assert_fills_cube(data, similarity):
    """The toy, carried into the cube, lies inside it and nearly fills it."""
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (60000, 3)).astype(np.float32)
    inside = points[np.asarray(toy_sdf(points)) < 0]
    in_cube = np.asarray(transform_points(transform_points(inside, similarity), data.to_cube))
    assert np.abs(in_cube).max() < 0.53
    assert np.ptp(in_cube, axis=0).max() > 0.85
