"""The pictures of a run: read or simulated, prepared, with the photo."""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from jaxvsnerf.config.resolve import data_spec, preprocess_spec, toy_spec
from jaxvsnerf.data.load import read_dataset
from jaxvsnerf.data.spec import DataSpec, background_color
from jaxvsnerf.data.views import check_views
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import optical_axes, take
from jaxvsnerf.preprocess.photo_view import load_photo
from jaxvsnerf.preprocess.prepare import Record, prepare_views, trained_views
from jaxvsnerf.run.readings import decide
from jaxvsnerf.simulate.toy import ToySpec, toy_dataset
from jaxvsnerf.system.paths import find_path
from jaxvsnerf.types import Dataset, Similarity


def load_dataset(
    spec: DataSpec, toy: ToySpec | None = None, to_cube: Similarity | None = None
) -> Dataset:
    """Loads input views, and truth pictures if the source has any, into the object's cube.

    Args:
      spec: the source of the pictures.
      toy: the embedded object, for `kind="toy"`; None uses the default object.
      to_cube: see `read_dataset`; the toy lies in the cube.

    Returns:
      The data set, arrays in numpy float32, without the photo (see `add_photo`). `clean` holds
      truth pictures at the input views, if the truth has the same cameras and picture size.

    Raises:
      MissingFile: a file or folder is missing; the message names the tried paths.
      InputError: the source has another content than expected.
    """
    notes: tuple[str, ...] = ()
    if spec.kind != "toy":
        spec, notes = decide(spec)
    dataset = (
        _simulate(spec, toy, background_color(spec.background))
        if spec.kind == "toy"
        else read_dataset(spec, background_color(spec.background), to_cube)
    )
    if notes:
        inputs = dataset.inputs
        dataset = dataset.replace(inputs=inputs.replace(notes=(*notes, *inputs.notes)))
    if spec.input_view < 0:
        return dataset
    views = dataset.inputs
    index = spec.views.index(spec.input_view) if spec.views else spec.input_view
    if index >= len(views.images):
        raise InputError(
            f"data.input_view: expected -1 or one of the {len(views.images)} views, 0 to "
            f"{len(views.images) - 1}, got {spec.input_view}"
        )
    return dataset.replace(
        inputs=views.replace(input_axis=np.asarray(optical_axes(views.cameras))[index])
    )


def add_photo(dataset: Dataset, spec: DataSpec) -> Dataset:
    """Adds the photo as one more view, if the source names a photo.

    Args:
      dataset: data set of the source; views of weight 0 do not help to find the photo's camera.
      spec: the source.

    Raises:
      MissingFile, InputError: see `load_photo`.
    """
    if not spec.photo:
        return dataset
    path, elevation_deg = find_path(spec.photo), spec.input_elevation_deg
    views = trained_views(dataset)
    photo = load_photo(path, views, elevation_deg, spec.photo_weight, spec.mask_threshold)
    return dataset.replace(photo=photo)


def _simulate(spec: DataSpec, toy: ToySpec | None, background: np.ndarray | None) -> Dataset:
    """Simulates the toy at the chosen views, with exact masks or none."""
    toy = toy or ToySpec()
    check_views(spec.views, toy.num_views)
    dataset = toy_dataset(toy.size, toy.num_views, toy.severity, toy.seed, background)
    inputs, truth, clean = dataset.inputs, dataset.truth, dataset.clean
    if spec.views:
        chosen = list(spec.views)
        clean = clean[chosen]
        inputs = inputs.replace(
            images=inputs.images[chosen],
            masks=inputs.masks[chosen],
            cameras=take(inputs.cameras, chosen),
            names=tuple(inputs.names[i] for i in chosen),
        )
    if spec.mask == "none":
        inputs, truth = inputs.replace(masks=None), truth.replace(masks=None)
    return dataset.replace(inputs=inputs, truth=truth, clean=clean)


def read_pictures(config: ConfigDict, to_cube: Similarity | None = None) -> Dataset:
    """Loads the pictures of a run without preprocessing, see `load_dataset`."""
    return load_dataset(data_spec(config), toy_spec(config), to_cube)


def load_pictures(config: ConfigDict, to_cube: Similarity | None = None) -> tuple[Dataset, Record]:
    """Loads and preprocesses the pictures of a run; returns them with a record of the changes.

    Args:
      config: settings of the run.
      to_cube: similarity of a run that goes on, see `load_dataset`.

    Raises:
      MissingFile, InputError: see `load_dataset`, `add_photo` and `PreprocessSpec`.
    """
    spec, dataset = preprocess_spec(config), read_pictures(config, to_cube)
    prepared, record = prepare_views(dataset.inputs, spec)
    return add_photo(dataset.replace(prepared=prepared), data_spec(config)), record
