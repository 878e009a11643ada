"""The ends of a field: which encoder comes before its layers, and which decoder after them."""

from __future__ import annotations

from dataclasses import dataclass

from jaxvsnerf.fields.encode import FrequencySpec, HashEncoderSpec
from jaxvsnerf.fields.radiance import RadianceSpec
from jaxvsnerf.fields.sdf import SdfSpec
from jaxvsnerf.system.settings import check_spec, setting

# A new end is a file with a spec whose `build` returns an Encoder or a Decoder, and a member here.
EncoderSpec = FrequencySpec | HashEncoderSpec
DecoderSpec = RadianceSpec | SdfSpec


@dataclass(frozen=True)
class EndsSpec:
    """The names of the ends, as a config chooses them."""

    encoding: str = setting(
        "frequency",
        "Encoding of the position: `frequency` (NeRF) or `hash` (Instant-NGP).",
        choices=("frequency", "hash"),
    )
    decoder: str = setting(
        "radiance",
        "What the layers end in: `radiance` (NeRF: density and colour) or `sdf` (NeuS: a signed "
        "distance whose zero set is the surface, and colour).",
        choices=("radiance", "sdf"),
        before=("radiance",),
    )

    def __post_init__(self):
        check_spec(self, "field")
