"""Installs jaxvsnerf; `pip install .[export]` adds what meshes, videos and pages need."""

from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = next(
    line.split('"')[1]
    for line in (here / "jaxvsnerf" / "__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)
# Marching cubes; the mesh's normals and facts; fewer faces by quadrics and a texture's charts
# (0.3 MB each, wheels without further needs, where pymeshlab takes 100 MB); an H.264 encoder in
# a wheel; the page.
export = [
    "scikit-image",
    "trimesh",
    "fast-simplification>=0.2",
    "xatlas>=0.0.11",
    "imageio-ffmpeg",
    "jinja2",
]
# Reading downloaded weights: PyTorch for its own archives (2.6: which objects an archive holds
# is told without building them), safetensors for the others.
safetensors = "safetensors>=0.4.5"
# Scores of the geometry: winding numbers (libigl) and first hits of rays (embreex).
geometry = ["trimesh", "libigl>=2.5", "embreex"]
# Event files without TensorFlow; with protobuf under 1 MB. `tensorboard` itself shows them.
tensorboard = ["tensorboardX>=2.6"]
# The live viewer: a web server and its page in one wheel, 9 MB unpacked.
viewer = ["viser>=1.1"]
# COLMAP's own reader of its models, 38 MB; only sources of that kind need it.
colmap = ["pycolmap>=3.12"]
# Cutting the object out of a photo. Heavy (about 300 MB, most of it numba for the colours of soft
# outlines and onnxruntime for the model) and only used with --cutout, so the tests do without.
photo = ["rembg>=2.0.86", "onnxruntime>=1.20", "pymatting>=1.1.14"]

setup(
    name="jaxvsnerf",
    version=version,
    description="One accurate 3D object from generated views that contradict each other, in JAX",
    long_description=(here / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["jaxvsnerf", "jaxvsnerf.*"]),
    package_data={"jaxvsnerf.page": ["*.jinja", "vendor/*"]},
    python_requires=">=3.11",
    install_requires=[
        "jax>=0.10",
        "flax>=0.12",
        "optax>=0.2.6",
        "orbax-checkpoint>=0.11",
        "numpy>=1.26",
        "ml-collections>=1.0",
        "absl-py>=2.1",
        # Pictures in and out, the only decoder used.
        "pillow>=10",
        # Filters and connected components of masks and lattices; jax brings it along anyway.
        "scipy>=1.11",
        # One process a workdir; released by the system however a process ends.
        "filelock>=3.12",
        # The progress bar; one small package without needs of its own.
        "tqdm>=4.66",
    ],
    extras_require={
        "export": export,
        "geometry": geometry,
        "colmap": colmap,
        "tensorboard": tensorboard,
        "viewer": viewer,
        "photo": photo,
        # PyTorch is heavy (gigabytes with its CUDA libraries) and only read with, once a model:
        # the tests read safetensors, and PyTorch's archives where PyTorch is installed.
        "convert": ["torch>=2.6", safetensors],
        # Only for studies over several machines, and heavy (over 100 MB with what it brings),
        # so neither an ordinary install nor the tests ask for it.
        "cluster": ["ray>=2.9"],
        "gpu": ["jax[cuda13]>=0.10"],
        "tpu": ["jax[tpu]>=0.10"],
        "test": [
            *(*export, *geometry, *colmap, *tensorboard, *viewer, safetensors),
            *("pytest>=8", "pytest-xdist>=3"),
        ],
    },
)
