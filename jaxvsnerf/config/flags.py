"""The flag --config, which names a config, and --config.NAME=VALUE, which changes a setting."""

from __future__ import annotations

from collections.abc import Callable

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxvsnerf.config.load import read_config, with_colors
from jaxvsnerf.config.names import config_names, find_config
from jaxvsnerf.config.resolve import PATHS
from jaxvsnerf.errors import InputError
from jaxvsnerf.system.cli import parsing


class ConfigParser(flags.ArgumentParser):
    """Turns the name of a config into its settings."""

    def parse(self, argument: str) -> ConfigDict:
        """Reads the settings of a config.

        Args:
          argument: the name or the path of a config, see `find_config`.

        Raises:
          InputError: no such config, or the file is no config file.
        """
        return read_config(find_config(argument))

    def flag_type(self) -> str:
        """The word for such a value in absl's own help."""
        return "config"


def define_config(default: str = "") -> flags.FlagHolder:
    """Defines --config, with --config.NAME=VALUE for every setting.

    Args:
      default: the name of the config without the flag; '' makes the flag necessary.
    """
    text = (
        f"A config: {', '.join(config_names())}, or the path of a config file. "
        "--config.NAME=VALUE changes a setting, such as --config.stage1.steps=500; "
        "`python -m jaxvsnerf.settings` lists all."
        + (f" Without the flag: {default}." if default else "")
    )
    holder = config_flags.DEFINE_config_file("config", None, text)
    flag = flags.FLAGS["config"]
    flag.parser = ConfigParser()
    if default:
        with parsing():  # absl reads a default at once
            flags.FLAGS.set_default("config", default)
    return holder


def define_paths(*names: str) -> Callable[[], dict[str, str]]:
    """Defines --path, --truth and so on: where a run's files lie now.

    Args:
      names: settings that name files, without their sections, see `resolve.PATHS`.

    Returns:
      A function that returns the value of each flag by its name, '' without the flag.
    """
    sections = {name: section for section, name in PATHS}
    holders = {
        name: flags.DEFINE_string(
            name, "", f"Where the run's {sections[name]}.{name} lies now, if elsewhere."
        )
        for name in names
    }
    return lambda: {name: holder.value for name, holder in holders.items()}


def config_value(config: flags.FlagHolder) -> ConfigDict:
    """The config that was given.

    Raises:
      InputError: none was given.
    """
    if config.value is None:
        raise InputError(
            f"--config: expected one of {', '.join(config_names())}, or the path of a config "
            "file; got nothing"
        )
    return with_colors(config.value)
