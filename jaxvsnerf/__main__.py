"""Lists the commands: `python -m jaxvsnerf`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxvsnerf import __version__
from jaxvsnerf.system import streams

# In the order in which a user meets them.
COMMANDS = (
    *("doctor", "inspect", "train", "view"),
    *("evaluate", "render", "export", "report"),
    *("study", "settings"),
    *("cutout", "convert", "generate", "create", "lpips_weights"),
)


def summary(name: str) -> str:
    """The first line of a command's docstring; imports nothing, which would take seconds."""
    file = Path(__file__).with_name(f"{name}.py")
    file = file if file.is_file() else Path(__file__).parent / name / "__main__.py"
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return doc.partition("\n")[0]


def overview() -> str:
    """The version and a line for each command."""
    lines = [f"  {name:15}{summary(name)}" for name in COMMANDS]
    return "\n".join(
        [
            f"jaxvsnerf {__version__}. Commands, each with --help:",
            *lines,
            "",
            "For example: python -m jaxvsnerf.train --config=quickstart --workdir=runs/quickstart",
        ]
    )


def main(words: Sequence[str]) -> int:
    """Prints the overview.

    Args:
      words: the command line without the program.

    Returns:
      The exit status: 2 if a word is there that is no request for help.
    """
    unknown = [word for word in words if word not in ("--help", "-h", "--version")]
    if unknown:
        word = unknown[0]
        hint = f"the command is python -m jaxvsnerf.{word}" if word in COMMANDS else "see below"
        print(f"error: unknown word {word!r}; {hint}\n\n{overview()}", file=sys.stderr)
        return 2
    print(overview())
    return 0


if __name__ == "__main__":
    streams.settle()
    sys.exit(main(sys.argv[1:]))
