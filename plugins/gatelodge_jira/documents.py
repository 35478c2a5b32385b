"""Rich text: Markdown and Jira's document format (ADF) both ways by marklas, and wiki markup for Data Center."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import marklas

ADF = dict[str, Any]

CODE_OR_TAG = re.compile(
    r"(?P<code>^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^(?P=fence)[`~]*[ \t]*$|\Z)"
    r"|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))"
    r"|<(?=[A-Za-z/!?])(?!https?://|mailto:)",
    re.MULTILINE | re.DOTALL,
)
NODES = frozenset(
    [
        "doc",
        "paragraph",
        "heading",
        "text",
        "hardBreak",
        "bulletList",
        "orderedList",
        "listItem",
        "taskList",
        "taskItem",
        "codeBlock",
        "blockquote",
        "rule",
        "table",
        "tableRow",
        "tableHeader",
        "tableCell",
    ]
)
MARKS = frozenset({"strong", "em", "code", "strike", "link", "underline", "subsup"})


def to_adf(markdown: str) -> ADF:
    """ADF of plain Markdown. HTML stays text and only Markdown's own nodes come out: such text mentions nobody."""
    escaped = CODE_OR_TAG.sub(lambda match: match["code"] or "\\<", markdown)
    document = marklas.to_adf(escaped)
    return {**document, "content": [_plain(node) for node in document.get("content", [])]}


def to_markdown(document: Any) -> str:
    """Markdown of an ADF document for reading; mentions, dates and cards become text. Wiki text stays."""
    if isinstance(document, Mapping):
        return marklas.to_md(dict(document), plain=True).strip()
    return str(document or "")


def to_wiki(document: ADF) -> str:
    """Data Center's wiki markup of an ADF document."""
    return "\n\n".join(_wiki_blocks(document.get("content", []))).strip()


def _plain(node: ADF) -> ADF:
    if node["type"] not in NODES:
        return {"type": "paragraph", "content": [{"type": "text", "text": _text(node) or " "}]}
    kept = dict(node)
    if "marks" in node:
        kept["marks"] = [mark for mark in node["marks"] if mark["type"] in MARKS]
    if "content" in node:
        kept["content"] = [_plain_child(node, child) for child in node["content"]]
    return kept


def _plain_child(parent: ADF, child: ADF) -> ADF:
    inline = parent["type"] in {"paragraph", "heading", "taskItem"}
    if inline and child["type"] not in NODES:
        return {"type": "text", "text": _text(child) or " "}
    return _plain(child)


def _text(node: ADF) -> str:
    own = node.get("text") or (node.get("attrs") or {}).get("text") or (node.get("attrs") or {}).get("url") or ""
    return str(own) + "".join(_text(child) for child in node.get("content", []))


def _wiki_blocks(nodes: list[ADF], prefix: str = "") -> Iterator[str]:
    for node in nodes:
        yield _wiki_block(node, prefix)


def _wiki_block(node: ADF, prefix: str) -> str:
    attrs, content = node.get("attrs") or {}, node.get("content", [])
    match node["type"]:
        case "heading":
            return f"h{attrs.get('level', 1)}. {_wiki_inline(content)}"
        case "bulletList" | "taskList":
            return _wiki_list(content, prefix + "*")
        case "orderedList":
            return _wiki_list(content, prefix + "#")
        case "codeBlock":
            language = re.sub(r"[^\w+#-].*", "", attrs.get("language") or "")
            opening = f"{{code:{language}}}" if language else "{code}"
            return f"{opening}\n{_text(node)}\n{{code}}"
        case "blockquote":
            return "{quote}\n" + "\n\n".join(_wiki_blocks(content)) + "\n{quote}"
        case "rule":
            return "----"
        case "table":
            return "\n".join(_wiki_row(row) for row in content)
        case _:
            return _wiki_inline(content)


def _wiki_list(items: list[ADF], prefix: str) -> str:
    lines = []
    for item in items:
        blocks = item.get("content", [])
        if item["type"] == "taskItem":
            lines.append(f"{prefix} {_wiki_inline(blocks)}")
            continue
        first = True
        for block in blocks:
            text = _wiki_block(block, prefix)
            nested = block["type"] in {"bulletList", "orderedList", "taskList"}
            lines.append(text if nested or not first else f"{prefix} {text}")
            first = False
    return "\n".join(lines)


def _wiki_row(row: ADF) -> str:
    cells = row.get("content", [])
    bar = "||" if cells and cells[0]["type"] == "tableHeader" else "|"
    return bar + bar.join(" ".join(_wiki_blocks(cell.get("content", []))) or " " for cell in cells) + bar


def _wiki_inline(nodes: list[ADF]) -> str:
    return "".join("\n" if node["type"] == "hardBreak" else _wiki_text(node) for node in nodes)


WIKI_MARKS: Mapping[str, tuple[str, str]] = {
    "strong": ("*", "*"),
    "em": ("_", "_"),
    "strike": ("-", "-"),
    "underline": ("+", "+"),
    "code": ("{{", "}}"),
}


def _wiki_text(node: ADF) -> str:
    marks = {mark["type"]: mark for mark in node.get("marks", [])}
    text: str = node.get("text", "")
    text = text if "code" in marks else re.sub(r"([{}\[\]|*_^~\\]|(?<!\w)[-+](?=\w))", r"\\\1", text)
    for name, (opening, closing) in WIKI_MARKS.items():
        if name in marks and text.strip():
            text = f"{opening}{text}{closing}"
    if "link" in marks:
        text = f"[{text}|{marks['link']['attrs']['href']}]"
    return text
