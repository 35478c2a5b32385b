"""The chapter on plugins shows code that runs, and leaves no hook out."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

import pytest

import gatelodge
from gatelodge import Call, hookspecs

from .blocks import ROOT, Block, blocks

CHAPTER = ROOT / "docs/writing-plugins.md"
TEXT = CHAPTER.read_text()
HOOKS = [name for name in vars(hookspecs) if name.startswith("gatelodge_")]
LISTINGS = list(blocks(CHAPTER, "python", "ini", "sql"))


def _is_part(listing: list[str], lines: list[str]) -> bool:
    """Whether the lines of a listing follow one another somewhere, whatever their common indentation."""
    wanted = textwrap.dedent("\n".join(listing)).split("\n")
    parts = (lines[start : start + len(wanted)] for start in range(len(lines) - len(wanted) + 1))
    return any(textwrap.dedent("\n".join(part)).split("\n") == wanted for part in parts)


@pytest.mark.parametrize("block", LISTINGS, ids=str)
def test_each_listing_is_cut_out_of_a_file(block: Block) -> None:
    """Which the tests run, or the example is made of; a line of `...` stands for what is left out."""
    kind, _, name = block.marker.partition(": ")
    assert kind == "from", "say which file it is from"
    lines = (ROOT / name).read_text().splitlines()
    for part in re.split(r"^\.\.\.$", block.code, flags=re.MULTILINE):
        listing = part.strip("\n").split("\n")
        assert _is_part(listing, lines), f"not in {name}:\n{part}"


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_is_documented(hook: str) -> None:
    """In the table, with its parameters."""
    parameters = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"| `{hook}({parameters})` |" in TEXT


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_is_used(hook: str) -> None:
    """By a plugin in the tree: a hook that nobody needs should go."""
    sources = [path for folder in ("server", "plugins", "examples") for path in (ROOT / folder).rglob("*.py")]
    assert any(_implements(path, hook) for path in sources)


def test_each_name_is_documented() -> None:
    """Everything that an author may import, and every way a handler can speak to its client."""
    spoken = [name for name, item in vars(Call).items() if inspect.iscoroutinefunction(item)]
    assert {"progress", "log", "ask", "ask_all", "hang_up", "become_task"} <= set(spoken)
    assert [name for name in gatelodge.__all__ if f"`{name}`" not in TEXT] == []
    assert [name for name in spoken if f"call.{name}" not in TEXT] == []


def _implements(path: Path, hook: str) -> bool:
    found = re.search(rf"@hookimpl[^\n]*\n(?:\s*@\w+\n)*\s*(?:async )?def {hook}\(self", path.read_text())
    return found is not None
