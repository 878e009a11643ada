"""Installs jaxvsnerf; `pip install .[export]` adds what meshes, videos and pages need."""

from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = next(
    line.split('"')[1]
    for line in (here / "jaxvsnerf" / "__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)
# In this order: marching cubes; the mesh's normals and facts; fewer faces by quadrics; a texture's
# charts (0.3 MB each without further requirements, pymeshlab has 100 MB); an H.264 encoder;
# the page.
export = [
    "scikit-image",
    "trimesh",
    "fast-simplification>=0.2",
    "xatlas>=0.0.11",
    "imageio-ffmpeg",
    "jinja2",
]
# Downloaded weights: PyTorch reads its own archives (from 2.6 on it lists the objects of an archive
# without building them), safetensors the others.
safetensors = "safetensors>=0.4.5"
# Scores of the geometry: winding numbers (libigl) and first hits of rays (embreex).
geometry = ["trimesh", "libigl>=2.5", "embreex"]
# Event files without TensorFlow, under 1 MB with protobuf. `tensorboard` itself shows the files.
tensorboard = ["tensorboardX>=2.6"]
# The live viewer: a web server and its page in one wheel, 9 MB unpacked.
viewer = ["viser>=1.1"]
# Cutting the object out of a photo: about 300 MB, most of it numba for the colours of soft outlines
# and onnxruntime for the model. Only --cutout needs them; the tests do without.
photo = ["rembg>=2.0.86", "onnxruntime>=1.20", "pymatting>=1.1.14"]

setup(
    name="jaxvsnerf",
    version=version,
    description="One accurate 3D object from generated views that contradict each other, in JAX",
    long_description=(here / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    # The config files lie at the top of the repository, where users read them, and in the wheel as
    # jaxvsnerf/configs, where `--config=quickstart` finds them.
    packages=[*find_packages(include=["jaxvsnerf", "jaxvsnerf.*"]), "jaxvsnerf.configs"],
    package_dir={"jaxvsnerf.configs": "configs"},
    package_data={"jaxvsnerf.page": ["*.jinja", "vendor/*"]},
    python_requires=">=3.11",
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)),
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
    install_requires=[
        "jax>=0.10",
        "flax>=0.12",
        "optax>=0.2.6",
        "orbax-checkpoint>=0.11",
        "numpy>=1.26",
        "ml-collections>=1.0",
        "absl-py>=2.1",
        # The only decoder and encoder of pictures.
        "pillow>=10",
        # Filters and connected components of masks and lattices; jax requires it anyway.
        "scipy>=1.11",
        # A lock that keeps one process per workdir; the system releases it when the process ends.
        "filelock>=3.12",
        # The progress bar; a small package without requirements.
        "tqdm>=4.66",
    ],
    extras_require={
        "export": export,
        "geometry": geometry,
        "tensorboard": tensorboard,
        "viewer": viewer,
        "photo": photo,
        # PyTorch has gigabytes with its CUDA libraries and is used once per model. The tests read
        # safetensors, and PyTorch's archives if PyTorch is installed.
        "convert": ["torch>=2.6", safetensors],
        # Studies over several machines; over 100 MB with its requirements, so neither an ordinary
        # install nor the tests need it.
        "cluster": ["ray>=2.9"],
        "gpu": ["jax[cuda13]>=0.10"],
        "tpu": ["jax[tpu]>=0.10"],
        "test": [
            *(*export, *geometry, *tensorboard, *viewer, safetensors),
            # A test builds the wheel, which setuptools does by itself from 70 on.
            *("pytest>=8", "pytest-xdist>=3", "setuptools>=77"),
        ],
    },
)
