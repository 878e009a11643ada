"""The sections of a config: each holds the settings of some specs."""

from __future__ import annotations

from typing import NamedTuple

from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.fields.build import FieldSpec
from jaxvsnerf.fields.encode import FrequencySpec
from jaxvsnerf.fields.ends import EndsSpec
from jaxvsnerf.fields.hashgrid import HashSpec
from jaxvsnerf.fields.radiance import RadianceSpec
from jaxvsnerf.fields.sdf import SurfaceSpec
from jaxvsnerf.mesh.spec import MeshSpec
from jaxvsnerf.metrics.spec import MetricsSpec
from jaxvsnerf.pictures.spec import TurntableSpec
from jaxvsnerf.preprocess.spec import PreprocessSpec
from jaxvsnerf.rendering.sampling import GridLevel, GridSpec, RenderSpec, SamplingSpec
from jaxvsnerf.simulate.toy import ToySpec
from jaxvsnerf.system.settings import Declared, config_settings
from jaxvsnerf.training.batch import StepSpec, TableSpec
from jaxvsnerf.training.losses import LossSpec, TrustSpec
from jaxvsnerf.training.stages import StageSpec
from jaxvsnerf.training.terms import TermsSpec
from jaxvsnerf.training.trainer import LoopSpec, SeedSpec

STAGES = ("stage1", "stage2", "stage3")


class Section(NamedTuple):
    """A section of the config.

    Attributes:
      text: what the section is about.
      specs: the specs whose settings the section holds.
      later: whether runs up to 0.2.0 lack the section, whose defaults then change nothing.
    """

    text: str
    specs: tuple[type, ...]
    later: bool = False

    @property
    def settings(self) -> dict[str, Declared]:
        """The settings of the section by name."""
        return {name: one for spec in self.specs for name, one in config_settings(spec).items()}


# The section '' is the config itself; a dot is a section within a section.
SECTIONS: dict[str, Section] = {
    "": Section("The run.", (SeedSpec,)),
    "data": Section("Where the pictures come from.", (DataSpec, ToySpec)),
    "preprocess": Section(
        "What is done to the input views before training; a step changes only the views that need "
        "the step.",
        (PreprocessSpec,),
    ),
    "field": Section("The shape of the field.", (EndsSpec, FieldSpec, FrequencySpec, RadianceSpec)),
    "field.hash_grid": Section("The hash grid, for `field.encoding` hash.", (HashSpec,)),
    "field.sdf": Section(
        "The signed distance, for `field.decoder` sdf, see docs/variants.md.",
        (SurfaceSpec,),
        later=True,
    ),
    "sampling": Section(
        "Which rays are drawn in training, and where a ray is sampled.",
        (SamplingSpec, GridLevel, GridSpec, StepSpec, TableSpec),
    ),
    "loss": Section("What is minimised.", (LossSpec, TrustSpec)),
    "loss.terms": Section(
        "Weights of the loss's terms beside colour; 0 leaves a term out.", (TermsSpec,), later=True
    ),
    **dict.fromkeys(STAGES, Section("The stages of training, in order.", (StageSpec,))),
    "loop": Section("How often a run reports and saves.", (LoopSpec,)),
    "render": Section("Pictures of the finished field.", (RenderSpec, TurntableSpec)),
    "metrics": Section("Scores against true pictures.", (MetricsSpec,)),
    "mesh": Section("The exported mesh, see docs/assets.md.", (MeshSpec,)),
}
