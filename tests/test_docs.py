"""The pages of words: their blocks run, what they name exists, their links lead somewhere."""

import ast
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.config.names import config_names
from tests.conftest import ROOT

pytestmark = pytest.mark.unoptimized
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
# Files that define flags for several commands.
FLAG_FILES = ("config/flags.py", "system/cli.py", "run/request_flags.py")
CONFIG_FLAG = re.compile(r"--config\.([\w.]+)=")


def blocks(page: Path, *languages: str) -> list[str]:
    """The code blocks of a page in one of some languages, in order."""
    return [text for language, text in FENCE.findall(page.read_text()) if language in languages]


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    text = FENCE.sub("", page.read_text())
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def name_page(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "README.md" and blocks(page, "python")],
    ids=name_page,
)
def test_the_python_blocks_of_a_page_run_one_after_another(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "docs"}
    text = page.read_text()
    for block in blocks(page, "python"):
        # Padded, so that an error names the page's own line.
        before = text[: text.index(block)].count("\n")
        exec(compile("\n" * before + block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_settings_that_a_page_names_exist(page):
    known = default_config()
    for setting in CONFIG_FLAG.findall(page.read_text()):
        value = known
        for name in setting.split("."):
            assert name in value, f"--config.{setting}"
            value = value[name]


def said_words() -> set[str]:
    """The strings of the source, of those with values in them the parts between."""
    nodes = (
        node
        for path in ROOT.glob("jaxvsnerf/**/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    words = (" ".join(node.value.split()) for node in nodes)
    return {text for text in words if len(text) > 7}


def test_messages_that_a_page_quotes_are_said_by_the_source():
    known = said_words()
    quoted = [text for page in PAGES for text in blocks(page, "text")]
    assert len(quoted) > 10
    for quote in quoted:
        text = " ".join(quote.removeprefix("error: ").split())
        said = np.zeros(len(text), bool)
        for words in known:
            if words in text:
                start = text.index(words)
                said[start : start + len(words)] = True
        # The rest are values.
        assert said.mean() > 0.5, f"{said.mean():.0%} of this is said by the source: {quote}"


def command_sources(module: str) -> str:
    """The source of a command and of the modules that define flags for it."""
    path = Path(importlib.util.find_spec(module).origin)
    if path.name == "__init__.py":
        path = path.with_name("__main__.py")
    shared = [ROOT / "jaxvsnerf" / name for name in FLAG_FILES]
    return "".join(one.read_text() for one in (path, *shared))


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_commands_that_a_page_names_exist_with_their_flags_and_files(page):
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for module, arguments in re.findall(r"python -m (jaxvsnerf\.\w+)([^&|#]*)", line):
                assert importlib.util.find_spec(module), line
                source = command_sources(module)
                for flag in re.findall(r"(?<!\S)--(\w+)", arguments):
                    assert f'"{flag}"' in source, f"--{flag} in: {line}"
                for config in re.findall(r"--config=(\S+)", arguments):
                    assert config in config_names() or (ROOT / config).is_file(), line


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_links_of_a_page_lead_to_files_and_headings(page):
    text = FENCE.sub("", page.read_text())
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists() and target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link
