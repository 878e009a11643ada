"""Checks which room of the package imports which room, and draws the arrows.

    python -m experiments.architecture.arrows

Reads the imports of every file of `jaxvsnerf/`, refuses an arrow that `MAY_IMPORT` does not have,
and writes docs/pictures/architecture.svg.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "jaxvsnerf"
PICTURE = ROOT / "docs" / "pictures" / "architecture.svg"

# Imported by every room; left out of the picture.
BASE = {"types", "errors", "system"}
COMMANDS = "commands"
# Rows of the picture, from the rooms that all others import to the rooms that none imports.
ROWS = (
    ("types", "errors", "system"),
    ("geometry",),
    ("fields", "data", "metrics", "mesh"),
    ("rendering", "simulate", "preprocess", "diagnose", "generation", "pictures"),
    ("training", "page"),
    ("config",),
    ("run",),
    (COMMANDS, "study", "view"),
)
MAY_IMPORT = {
    "types": set(),
    "errors": set(),
    "system": {"errors", "types"},
    "geometry": BASE,
    **{room: BASE | {"geometry"} for room in ("fields", "data", "metrics", "mesh")},
    "rendering": BASE | {"geometry", "fields"},
    "training": BASE | {"geometry", "fields", "rendering"},
    **{
        room: BASE | {"geometry", "data", "metrics"}
        for room in ("preprocess", "simulate", "diagnose", "generation")
    },
    "pictures": BASE | {"geometry", "mesh", "metrics"},
    "page": BASE | {"geometry", "mesh", "metrics", "pictures"},
}
ROOMS = set(MAY_IMPORT)
MAY_IMPORT["config"] = ROOMS
MAY_IMPORT["run"] = ROOMS | {"config"}
MAY_IMPORT |= {room: ROOMS | {"config", "run"} for room in (COMMANDS, "study", "view")}


def room_of(path: Path) -> str:
    """The room of a file: its folder, `commands` for a top-level command, else its own name."""
    first, *rest = path.relative_to(PACKAGE).with_suffix("").parts
    return first if rest or first in MAY_IMPORT else COMMANDS


def imports(path: Path) -> Iterator[Path]:
    """The files of the package that a file imports, wherever in the file the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
        for name in names:
            top, *parts = name.split(".")
            target = PACKAGE.joinpath(*parts).with_suffix(".py")
            if top == PACKAGE.name and parts and target.is_file():
                yield target


def read_arrows() -> dict[tuple[str, str], set[tuple[str, str]]]:
    """(importing room, imported room) -> the (importing, imported) files behind the arrow."""
    arrows: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for target in imports(path):
            ends = room_of(path), room_of(target)
            files = tuple(str(one.relative_to(PACKAGE)) for one in (path, target))
            if path != target:
                arrows.setdefault(ends, set()).add(files)
    return arrows


def wrong_arrows() -> list[str]:
    """One line per import that `MAY_IMPORT` does not allow; commands import no command."""
    lines = []
    for (room, other), files in read_arrows().items():
        inside = room == other and room != COMMANDS
        if not inside and other not in MAY_IMPORT[room]:
            lines += [f"{room} <- {other}: {one} imports {two}" for one, two in sorted(files)]
    return lines


def drawn_arrows() -> set[tuple[str, str]]:
    """Arrows between rooms, without arrows that a longer way implies and without BASE."""
    edges = {(a, b) for a, b in read_arrows() if a != b and b not in BASE and a not in BASE}
    below: dict[str, set[str]] = {}
    for row in ROWS:  # every arrow leads to an earlier row
        for room in row:
            direct = {b for a, b in edges if a == room}
            below[room] = direct.union(*(below[b] for b in direct)) if direct else set()
    return {
        (a, b) for a, b in edges if not any(b in below[c] for d, c in edges if d == a and c != b)
    }


def draw() -> str:
    """The rooms in rows and the arrows between them, as SVG for light and dark pages."""
    width, box, height, gap = 900, (112, 44), 96, 30
    place = {}
    for level, row in enumerate(reversed(ROWS)):
        for index, room in enumerate(row):
            place[room] = width * (index + 0.5) / len(row), gap + height * level + box[1] / 2
    parts = []
    for room, other in sorted(drawn_arrows()):
        (x, y), (tx, ty) = place[room], place[other]
        y, ty = y + box[1] / 2, ty - box[1] / 2
        bend = (ty - y) / 2
        parts.append(
            f'<path d="M{x:.0f} {y:.0f}C{x:.0f} {y + bend:.0f} {tx:.0f} {ty - bend:.0f} '
            f'{tx:.0f} {ty - 3:.0f}" marker-end="url(#tip)"/>'
        )
    for room, (x, y) in place.items():
        count = sum(room_of(path) == room for path in PACKAGE.rglob("*.py"))
        parts.append(
            f'<g><rect x="{x - box[0] / 2:.0f}" y="{y - box[1] / 2:.0f}" width="{box[0]}" '
            f'height="{box[1]}" rx="6"/><text x="{x:.0f}" y="{y - 2:.0f}">{escape(room)}</text>'
            f'<text class="n" x="{x:.0f}" y="{y + 14:.0f}">{count} '
            f"file{'s' * (count > 1)}</text></g>"
        )
    total = gap + height * len(ROWS)
    parts.append(f'<text class="n" x="{width / 2}" y="{total - 30}">imported by every room</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" '
        f'width="{width}" role="img"><title>Rooms of jaxvsnerf; an arrow leads from a room to one '
        "that it imports</title><style>rect{fill:#eef3fb;stroke:#41629b}"
        "path{fill:none;stroke:#7a8aa5;stroke-width:1.2}text{font:14px sans-serif;"
        "text-anchor:middle;fill:#12213a}.n{font-size:11px;fill:#51607a}"
        "svg{background:#fff}</style>"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#7a8aa5"/></marker>'
        f"</defs>{''.join(parts)}</svg>\n"
    )


def main() -> int:
    """Runs the command."""
    if wrong := wrong_arrows():
        print("\n".join(wrong), file=sys.stderr)
        return 1
    PICTURE.write_text(draw())
    print(f"{len(drawn_arrows())} arrows between {len(MAY_IMPORT)} rooms: {PICTURE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
