"""Checks a config before a command reads or writes any file."""

from __future__ import annotations

from ml_collections import ConfigDict

from jaxvsnerf.config.check import check_config
from jaxvsnerf.run import events


def check_run(config: ConfigDict) -> None:
    """Refuses a config that cannot make a run.

    Raises:
      InputError: a setting is of a wrong type or out of range, or two contradict each other.
      MissingExtra: the config asks for files that need an absent package.
    """
    check_config(config)
    if config.loop.tensorboard:
        events.check_installed()
