"""The text of a command's --help: the module's docstring and the command's own flags."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Sequence
from types import ModuleType

from absl import flags

HELP = ("help", "helpshort", "h", "?")
FIRST = ("config", "workdir")
WIDTH = 100
INDENT = 26  # column where the description of a flag begins


def wants_help(argv: Sequence[str]) -> bool:
    """Whether a command line asks for help; `argv[0]` is the program."""
    return any(word.startswith("-") and word.lstrip("-") in HELP for word in argv[1:])


def docstring(module: ModuleType) -> str:
    """The docstring of a module, read from its source where Python has dropped it (-OO)."""
    if module.__doc__:
        return module.__doc__
    try:
        return ast.get_docstring(ast.parse(inspect.getsource(module))) or ""
    except (OSError, TypeError):
        return ""


def help_text(doc: str, values: flags.FlagValues, program: str = "") -> str:
    """The help of a command.

    Args:
      doc: the docstring of the command's module; holds an example.
      values: every flag that is defined; those of other packages are left out.
      program: the module that runs, as absl names it; '' is this process's.

    Returns:
      The docstring and a description of each flag.
    """
    program = program or sys.argv[0]
    own = [
        flag
        for module, defined in values.flags_by_module_dict().items()
        for flag in defined
        if module == program or module.startswith("jaxvsnerf.")
    ]
    own.sort(key=lambda flag: (flag.name not in FIRST, flag.name == "traceback"))
    return "\n".join([doc.strip(), "", "Flags:", *map(_flag_text, own)])


def _flag_text(flag: flags.Flag) -> str:
    """A flag with its choices, its description and its default, in as many lines as needed."""
    choices = getattr(flag.parser, "enum_values", None)
    value = "" if flag.boolean else "=" + ("|".join(choices) if choices else flag.name.upper())
    head = f"  --{flag.name}{value}"
    text = " ".join((flag.help or "").removeprefix(f"<{'|'.join(choices or ())}>: ").split())
    if flag.default and isinstance(flag.default, (str, int, float)):
        text += f" (default: {flag.default})"
    lines = textwrap.wrap(text, WIDTH - INDENT)
    if len(head) < INDENT - 1:
        head = f"{head:{INDENT}}{lines.pop(0)}"
    return "\n".join([head, *(" " * INDENT + line for line in lines)])
