"""Every setting: its default, the values it accepts, and what it does.

    python -m jaxvsnerf.settings [NAME ...]

A NAME is a setting (`mesh.faces`), a section (`stage1`) or the start of some (`sampling.num`).
Without one it prints docs/settings.md, which is made by

    python -m jaxvsnerf.settings > docs/settings.md
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxvsnerf.config.settings_page import find_settings, write_markdown
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""

    def command(argv: Sequence[str]) -> None:
        names = argv[1:]
        print(find_settings(names) if names else write_markdown(), end="\n" if names else "")

    cli.run(command, positional=100)


if __name__ == "__main__":
    main()
