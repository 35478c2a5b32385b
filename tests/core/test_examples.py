"""What the examples show a third party: that the public names are enough."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gatelodge
from gatelodge import content, questions

EXAMPLES = Path(__file__).parents[2] / "examples"
PACKAGES = sorted(path.parent.name for path in EXAMPLES.glob("*/setup.cfg"))


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """Module and name of everything that is imported from elsewhere; a module as a whole has no name."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                yield from ((node.module or "", alias.name) for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_example_needs_only_public_names(package: str) -> None:
    """Of Gatelodge it imports what `gatelodge` offers and, in its tests, the kit; no other module inside of it."""
    ours = {(module, name) for module, name in imported(EXAMPLES / package) if module.split(".")[0] == "gatelodge"}
    assert ours
    offered = {("gatelodge", name) for name in gatelodge.__all__}
    assert {item for item in ours if item[0] != "gatelodge.testing"} <= offered


@pytest.mark.parametrize("module", [content, questions])
def test_every_kind_of_content_and_question_is_shown(module: object) -> None:
    """The examples use all of them, so each is known to be within a plugin's reach."""
    used = {name for package in PACKAGES for source, name in imported(EXAMPLES / package) if source == "gatelodge"}
    offered = {name for name in gatelodge.__all__ if vars(module).get(name) is getattr(gatelodge, name)}
    kinds = {name for name in offered if isinstance(getattr(gatelodge, name), type)}
    assert kinds - used <= {"CannotAsk", "Root"}, "a caller meets these two without naming them"
