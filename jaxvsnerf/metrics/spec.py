"""Settings of the scores."""

from __future__ import annotations

from dataclasses import dataclass

from jaxvsnerf.system.settings import check_spec, setting


@dataclass(frozen=True)
class MetricsSpec:
    """Scores against true pictures."""

    lpips: str = setting(
        "",
        "File of LPIPS weights, as `python -m jaxvsnerf.lpips_weights` makes it; '' leaves the "
        "score out.",
    )

    def __post_init__(self) -> None:
        check_spec(self, "metrics")
