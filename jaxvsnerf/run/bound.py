"""Binds a run to its pictures: other pictures are refused, the same pictures may lie elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ml_collections import ConfigDict

from jaxvsnerf.config.resolve import with_found_paths
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.geometry.cameras import take
from jaxvsnerf.run.dataset import load_pictures, read_pictures
from jaxvsnerf.run.prints import camera_changes, dataset_prints, picture_changes
from jaxvsnerf.run.scene_file import SavedScene, load_scene
from jaxvsnerf.run.workdir import load_asked, load_settings
from jaxvsnerf.types import Dataset

KINDS = {"views": "view", "truth": "truth view", "photo": "the"}
UNKNOWN = (
    "warning: an older version of jaxvsnerf began this run and kept no fingerprint of its "
    "pictures; their names and cameras alone were compared"
)


def check_pictures(
    folder: Path, scene: SavedScene, dataset: Dataset, *, training: bool = True
) -> str:
    """Refuses pictures other than those that a run began with.

    Args:
      folder: folder of the run, for the message.
      scene: what the run knows of its pictures.
      dataset: the pictures to go on with.
      training: whether the pictures will be trained on. Otherwise masks do not count, because
        another version may make other masks of the same pictures.

    Returns:
      A line to show about a run that knows too little of its pictures, or ''.

    Raises:
      InputError: the pictures differ; the message says which.
    """
    views, truth = dataset.inputs, dataset.truth
    changes = _print_changes(scene, dataset, training)
    if not changes:
        known = take(scene.cameras, range(len(scene.names)))
        changes = camera_changes("view", known, views.cameras, views.names)
        if truth is not None and scene.truth is not None:
            changes += camera_changes("truth view", scene.truth, truth.cameras, truth.names)
    if changes:
        raise InputError(
            f"{folder} holds a run of other pictures ({'; '.join(changes)}): take another "
            "--workdir for these pictures, or give the run the pictures that it began with"
        )
    return "" if scene.prints else UNKNOWN


def _print_changes(scene: SavedScene, dataset: Dataset, masks: bool) -> list[str]:
    """How pictures differ from those of a run; of an older run the names alone are known."""
    now = dataset_prints(dataset)
    if scene.prints is None:
        names, shown = (dict.fromkeys(one, {}) for one in (scene.names, now["views"]))
        photo, given = ({"photo": {}} if one else {} for one in (scene.photo, now["photo"]))
        return picture_changes("view", names, shown) + picture_changes("the", photo, given)
    changes = []
    for part, kind in KINDS.items():
        then = scene.prints[part]
        if part == "truth" and not (then and now[part]):
            continue  # truth may come and go: nothing was trained on it
        changes += picture_changes(kind, then, now[part], masks=masks)
    return changes


def check_finished(folder: Path, config: ConfigDict) -> None:
    """Refuses pictures other than those of a finished run that will not be trained again.

    Args:
      folder: folder of the run.
      config: settings that name the pictures.

    Raises:
      InputError: the pictures differ, or cannot be loaded.
    """
    scene = load_scene(folder)
    dataset = read_pictures(config, scene.to_cube)
    # The photo needs the other views prepared; its file is compared when the run goes on.
    known = scene.prints and {**scene.prints, "photo": {}}
    check_pictures(folder, scene._replace(prints=known, photo=None), dataset, training=False)


def found_settings(folder: Path, paths: Mapping[str, str]) -> ConfigDict:
    """Loads the settings of a run with the paths at which its files lie now.

    Args:
      folder: folder of the run.
      paths: name of a setting that names a file (`path`, `truth`, ...) -> the new path; '' or a
        missing name takes the path that training found or, if nothing is there now, the path as
        it was given to training, which may be relative.

    Raises:
      MissingFile, InputError: see `load_settings`; a new path does not exist.
    """
    return with_found_paths(load_settings(folder), load_asked(folder), paths)


def load_bound(folder: Path, config: ConfigDict) -> tuple[Dataset, str]:
    """Loads the pictures of a finished or unfinished run; refuses other pictures.

    Args:
      folder: folder of the run.
      config: settings of the run, see `found_settings`.

    Returns:
      The pictures and the line of `check_pictures`.

    Raises:
      MissingFile: a file is missing; the message says how to name a new place.
      InputError: the pictures are not those of the run, or cannot be loaded.
    """
    scene = load_scene(folder)
    try:
        dataset, _ = load_pictures(config, scene.to_cube)
    except MissingFile as error:
        raise MissingFile(
            f"{error}. If the run's pictures lie elsewhere now, --path=PLACE names the place "
            "(--truth, --photo and --mesh likewise)"
        ) from error
    return dataset, check_pictures(folder, scene, dataset, training=False)
