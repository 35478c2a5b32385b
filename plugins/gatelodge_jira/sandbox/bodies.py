"""Rich text in its two forms: Atlassian's document (ADF) and wiki text, each turned into the other when asked for.

A body is kept as it came, so that each API reads back what it wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from .prose import bullets, code, document, heading, paragraph
from .site import Body

ADF = dict[str, Any]
MARKS = {"strong": "*", "em": "_", "strike": "-", "underline": "+", "subsup": "^"}
BLOCK = re.compile(
    r"\{code(?::(?P<language>\w+))?\}\n?(?P<code>.*?)\n?\{code\}|h(?P<level>[1-6])\. (?P<title>.*)", re.S
)


def as_adf(body: Body | None) -> ADF | None:
    return document(*_blocks(body)) if isinstance(body, str) else body


def as_wiki(body: Body | None) -> str | None:
    return _wiki(body).strip() if isinstance(body, dict) else body


def plain(body: Body | None) -> str:
    """The words alone, for searches."""
    return body if isinstance(body, str) else " ".join(_words(body or {}))


def is_document(body: Any) -> bool:
    """Whether a value is an ADF document, as far as Jira looks before it stores it."""
    return isinstance(body, dict) and body.get("type") == "doc" and body.get("version") == 1 and _well_formed(body)


def _well_formed(node: Any) -> bool:
    if not isinstance(node, dict) or not isinstance(node.get("type"), str):
        return False
    if node["type"] == "text" and not (isinstance(node.get("text"), str) and node["text"]):
        return False
    content, marks = node.get("content", []), node.get("marks", [])
    if not isinstance(node.get("attrs", {}), dict) or not isinstance(content, list) or not isinstance(marks, list):
        return False
    return all(map(_well_formed, content)) and all(map(_well_formed, marks))


def _attribute(node: ADF, name: str) -> Any:
    return node.get("attrs", {}).get(name, "")


def _words(node: ADF) -> Iterator[str]:
    if isinstance(node.get("text"), str):
        yield node["text"]
    for child in node.get("content", []):
        yield from _words(child)


def _wiki(node: ADF) -> str:
    write = WRITERS.get(node["type"])
    return write(node) if write else _inside(node)


def _inside(node: ADF) -> str:
    return "".join(map(_wiki, node.get("content", [])))


def _text(node: ADF) -> str:
    text = str(node["text"])
    for mark in node.get("marks", []):
        if mark["type"] == "link":
            text = f"[{text}|{_attribute(mark, 'href')}]"
        elif mark["type"] == "code":
            text = f"{{{{{text}}}}}"
        elif sign := MARKS.get(mark["type"]):
            text = f"{sign}{text}{sign}"
    return text


def _list(sign: str) -> Callable[[ADF], str]:
    def write(node: ADF) -> str:
        return "".join(f"{sign} {_inside(item).strip()}\n" for item in node.get("content", [])) + "\n"

    return write


def _code(node: ADF) -> str:
    language = _attribute(node, "language")
    opening = f"{{code:{language}}}" if language else "{code}"
    return f"{opening}\n{_inside(node)}\n{{code}}\n\n"


WRITERS: dict[str, Callable[[ADF], str]] = {
    "text": _text,
    "paragraph": lambda node: _inside(node) + "\n\n",
    "heading": lambda node: f"h{_attribute(node, 'level')}. {_inside(node)}\n\n",
    "bulletList": _list("*"),
    "orderedList": _list("#"),
    "codeBlock": _code,
    "blockquote": lambda node: f"{{quote}}\n{_inside(node).strip()}\n{{quote}}\n\n",
    "rule": lambda node: "----\n\n",
    "hardBreak": lambda node: "\n",
    "mention": lambda node: f"[~accountid:{_attribute(node, 'id')}]",
}


def _blocks(text: str) -> Iterator[ADF]:
    for block in re.split(r"\n{2,}", text.strip()):
        if found := BLOCK.fullmatch(block):
            yield code(found["code"]) if found["level"] is None else heading(found["title"], int(found["level"]))
        elif block and all(line.startswith("* ") for line in block.split("\n")):
            yield bullets(*(line[2:] for line in block.split("\n")))
        elif block:
            yield paragraph(block)
