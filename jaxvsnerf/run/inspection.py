"""Checks pictures and cameras before training: scores, likely mistakes, one page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from jaxvsnerf.config.check import check_data
from jaxvsnerf.config.resolve import data_spec
from jaxvsnerf.data.load import load_source, source_to_cube, up_note
from jaxvsnerf.data.rigs import named_rig
from jaxvsnerf.data.spec import DataSpec, background_color
from jaxvsnerf.diagnose.mistakes import AS_GIVEN, Diagnosis, diagnose
from jaxvsnerf.diagnose.silhouettes import mask_facts, silhouette_remarks
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import identity_similarity, transform_cameras
from jaxvsnerf.metrics.consistency import Consistency, consistency, reduced, surface_coverage
from jaxvsnerf.page.inspection import Inspection, write_inspection
from jaxvsnerf.pictures.camera_lines import camera_lines
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.run.readings import decide
from jaxvsnerf.system import cli
from jaxvsnerf.types import Similarity, ViewSet


def load_views(spec: DataSpec) -> tuple[ViewSet, Similarity | None, str]:
    """The input views in the source's frame, the similarity to the cube, and why there is none.

    Raises:
      MissingFile, InputError: the pictures cannot be loaded, or have no masks.
    """
    if spec.kind == "toy":
        views, has_poses = load_dataset(spec).inputs, False
    else:
        spec, notes = decide(spec)
        views, _, has_poses = load_source(spec, background_color(spec.background))
        up = filter(None, [up_note(spec, views)])
        views = views.replace(notes=(*notes, *views.notes, *up))
    if views.masks is None:
        raise InputError(
            "no masks: inspecting compares silhouettes; give RGBA pictures, a plain background, or "
            "mask files"
        )
    if spec.kind == "toy":
        return views, identity_similarity(), ""
    try:
        return views, source_to_cube(spec, views, has_poses), ""
    except InputError as error:
        return views, None, str(error)


def inspect_views(spec: DataSpec, title: str) -> tuple[Inspection, Consistency | None, Diagnosis]:
    """Scores and diagnoses a source.

    Args:
      spec: the source.
      title: title of the page.

    Returns:
      The content of the page; the score, or None if the cameras share no volume; the diagnosis.
    """
    views, to_cube, reason = load_views(spec)
    rig = named_rig(spec.rig) if spec.kind != "toy" else None
    diagnosis = diagnose(views, to_cube, rig.sheet if rig and not spec.views else None)
    moved = transform_cameras(views.cameras, to_cube or identity_similarity())
    images, masks, cameras = reduced(views.images, views.masks, moved)
    score = consistency(images, masks, cameras) if to_cube else None
    seen = surface_coverage(masks, cameras) if score else np.zeros((len(masks), 1), bool)
    empty = np.zeros(masks.shape, np.float32)
    return (
        Inspection(
            title=title,
            facts=_facts(views, score, seen),
            verdict=_verdict(views.replace(cameras=moved), diagnosis, score, reason),
            names=views.names,
            images=views.images,
            masks=masks,
            hull=score.hull if score else empty > 0,
            covered=score.covered if score else empty,
            errors=score.errors if score else empty,
            captions=_captions(views, score, seen),
            lines=camera_lines(cameras, views.names, diagnosis.box),
            findings=diagnosis.findings,
            as_given=AS_GIVEN,
        ),
        score,
        diagnosis,
    )


def _facts(views: ViewSet, score: Consistency | None, seen: np.ndarray) -> dict[str, str]:
    height, width = views.images.shape[1:3]
    masks = mask_facts(views).removeprefix("masks: ")
    facts = {"views": f"{len(views.images)} of {width} x {height}", "masks": masks}
    if score is None:
        return {"consistency": "none", **facts}
    times = seen.sum(0)
    return {
        "consistency": f"{score.score:.3f}",
        "silhouettes (IoU)": f"{score.silhouettes:.3f}",
        "colours (1 same, 0 chance)": f"{score.colors:.3f}",
        **facts,
        "surface seen by two views or more": f"{(times >= 2).mean():.0%}",
        "by none": f"{(times == 0).mean():.0%}",
    }


def _captions(
    views: ViewSet, score: Consistency | None, seen: np.ndarray
) -> list[tuple[str, str, str]]:
    if score is None:
        return [("", "", "")] * len(views.images)
    return [
        (f"sees {covers:.0%} of the surface", f"IoU {iou:.3f}", f"{colors:.2f}")
        for covers, iou, colors in zip(
            seen.mean(1), score.view_silhouettes, score.view_colors, strict=True
        )
    ]


def _verdict(
    views: ViewSet, diagnosis: Diagnosis, score: Consistency | None, reason: str
) -> list[tuple[str, str]]:
    given = next(one.score for one in diagnosis.findings if one.name == AS_GIVEN)
    said = [(one.heading, f"{one.text}.") for one in silhouette_remarks(views)]
    if diagnosis.mistake:
        name, advice, better, _ = diagnosis.mistake
        text = f"The views would agree to {better:.3f} instead of {given:.3f}: {advice}."
        said.append((f"Likely mistake: {name}", text))
    if diagnosis.place:
        said.append(("The object's place", f"{diagnosis.place}."))
    if reason and not diagnosis.mistake:
        said.append(("The cameras share no object", reason))
    if not said:
        said.append(
            ("No mistake found", f"No correction makes the views agree better than {given:.3f}.")
        )
    return said + [("How the pictures were read", f"{note}.") for note in views.notes]


def inspect_source(values: ConfigDict, folder: Path) -> None:
    """Writes the page and the picture, and prints the results."""
    check_data(values)
    spec = data_spec(values)
    title = Path(spec.path).name or spec.kind
    shown, score, _ = inspect_views(spec, title)
    page, picture = folder / "inspect.html", folder / "inspect.png"
    write_inspection(page, picture, shown)
    cli.say(f"masks: {shown.facts['masks']}")
    if score is not None:
        cli.say(
            f"consistency {score.score:.3f} (silhouettes {score.silhouettes:.3f}, colours "
            f"{score.colors:.3f})"
        )
    for heading, text in shown.verdict:
        cli.say(f"{heading}: {text}")
    cli.say(f"{page} and {picture.name} written")
