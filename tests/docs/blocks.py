"""Fenced blocks of a page of Markdown, each with the marker on the line before it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = [ROOT / "examples" / name / "README.md" for name in ("gatelodge-notes", "gatelodge-weather")]
PAGES = sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md")) + [ROOT / "benchmarks/README.md", *EXAMPLES]

_FENCE = re.compile(
    r"(?:^<!-- (?P<marker>.+?) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """`marker` is what the comment on the line before says: `from: FILE`, `not run: WHY`, …"""

    page: Path
    line: int
    language: str
    marker: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    """The blocks of a page in these languages, in order."""
    text = page.read_text()
    for found in _FENCE.finditer(text):
        if found["language"] in languages:
            line = text.count("\n", 0, found.start("code")) + 1
            yield Block(page, line, found["language"], found["marker"] or "", found["code"])
