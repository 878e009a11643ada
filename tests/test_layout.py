"""The layout: arrows point one way, files stay small, config values are read in two rooms."""

import ast

from experiments.architecture.arrows import COMMANDS, PACKAGE, room_of, wrong_arrows
from jaxvsnerf.config.defaults import default_config

FILE_LINES, FUNCTION_LINES, COMMAND_LINES = 350, 70, 75


def trees():
    """(path relative to the package, syntax tree) of every file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def test_arrows_between_rooms_point_one_way():
    assert wrong_arrows() == []


def test_files_commands_and_functions_are_short():
    long = []
    for path, tree in trees():
        lines = len(path.read_text().splitlines())
        command = room_of(path) == COMMANDS or path.name == "__main__.py"
        if lines > (COMMAND_LINES if command else FILE_LINES):
            long.append(f"{path}: {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                lines = node.end_lineno - node.lineno + 1
                long += [f"{path}:{node.name}: {lines} lines"] * (lines > FUNCTION_LINES)
    assert not long, long


def test_config_values_are_read_by_config_and_run_alone():
    sections = {name for name, value in default_config().items() if hasattr(value, "items")}
    reads = []
    for path, tree in trees():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in sections
                and (
                    getattr(node.value, "id", "") == "config"
                    or getattr(node.value, "attr", "") == "config"
                )
                and room_of(path) not in ("config", "run")
            ):
                reads.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
    assert not reads, reads
