"""What the docs point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .blocks import PAGES, ROOT

LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FILE = re.compile(r"`((?:etc|scripts|docs|examples|server|plugins|migrations|tests|benchmarks)/[\w./@-]*)`")
SETTING = re.compile(r"\b((?:GATELODGE|MCP|JIRA|RATE_LIMIT)_[A-Z0-9_]*[A-Z0-9])\b(?!_?<)")
KNOWN = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))
LIVE = set(re.findall(r"^\| `([a-z0-9_]+)` \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))
OF_EXAMPLES = ("GATELODGE_NOTES_", "GATELODGE_WEATHER_", "MCP_NOTES_")
BY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@BY_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    """To a file that is there, and a heading that is in it."""
    for file, heading in LINK.findall(page.read_text()):
        target = (page.parent / file) if file else page
        assert target.exists(), file
        if heading:
            assert heading in {_anchor(title) for title in HEADING.findall(target.read_text())}, f"{file}#{heading}"


@BY_PAGE
def test_files_that_are_named_exist(page: Path) -> None:
    """Paths in backticks, from the root of the repository."""
    assert [name for name in FILE.findall(page.read_text()) if not (ROOT / name).exists()] == []


@BY_PAGE
def test_settings_that_are_named_exist(page: Path) -> None:
    """As variables of the environment, or as live settings that a command sets."""
    text = page.read_text()
    named = {name for name in SETTING.findall(text) if not name.startswith(OF_EXAMPLES)}
    assert named - KNOWN == set()
    live = set(re.findall(r"gatelodge settings (?:get|set|unset) ([a-z]\w*)", text)) - {"notes_frozen"}
    assert live - LIVE == set()


def _anchor(title: str) -> str:
    """As GitHub makes them."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
