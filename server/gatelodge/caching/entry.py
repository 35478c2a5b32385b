"""A result as bytes and back."""

from __future__ import annotations

import math
import random
import re
from functools import lru_cache
from typing import Any

import msgspec

from .. import content
from ..contract import Result
from ..redaction import SECRET_TEXT, is_secret

_BLOCKS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (content.Text, content.Image, content.Audio, content.ResourceLink)
}
"""What can be read back: msgspec does not tell the two kinds of contents of an `Embedded` block apart."""


_ESCAPED_QUOTE = re.compile(r'\\+"')


_is_secret = lru_cache(maxsize=4096)(is_secret)


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """`made` is Unix time, `took` how long the tool needed, `ttl` how long the entry serves: seconds."""

    structured: msgspec.Raw
    blocks: list[tuple[str, msgspec.Raw]]
    meta: dict[str, Any]
    made: float
    took: float
    ttl: float

    def due(self, now: float) -> bool:
        """Whether to ask the tool again: surely once the time is up, before that the likelier the nearer it is.

        Source: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention" (2015).
        """
        return now - self.took * math.log(1.0 - random.random()) >= self.made + self.ttl

    def result(self, now: float) -> Result:
        """The result again, marked with its age."""
        age = max(0, int(now - self.made))
        return Result(
            structured=msgspec.json.decode(self.structured),
            content=tuple(msgspec.json.decode(raw, type=_BLOCKS[name]) for name, raw in self.blocks),
            meta={**self.meta, "gatelodge/cached": True},
            headers={"Age": str(age)},
        )


_decoder = msgspec.json.Decoder(Entry)


def decode(data: bytes) -> Entry | None:
    """The entry, or None for bytes that another version of this server wrote."""
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError:
        return None


def encode(result: Result, *, made: float, took: float, ttl: float, limit: int) -> bytes | None:
    """The entry's bytes, or None for a result that may not be kept.

    That is one that failed, asks, is truncated, is larger than `limit` bytes, or holds what looks like a secret.
    """
    if result.error is not None or result.questions or _truncated(result.structured):
        return None
    if any(type(block).__name__ not in _BLOCKS for block in result.content):
        return None
    encode_json = msgspec.json.encode
    blocks = [(type(block).__name__, msgspec.Raw(encode_json(block))) for block in result.content]
    entry = Entry(msgspec.Raw(encode_json(result.structured)), blocks, dict(result.meta), made, took, ttl)
    data = encode_json(entry)
    return None if len(data) > limit or _holds_secret(msgspec.json.decode(data)) else data


def _holds_secret(value: Any) -> bool:
    """Whether a member's name says that it holds a secret, and it holds something; or a text looks like one."""
    if isinstance(value, str):
        # JSON may stand inside a string of JSON: its quotes are looked at as if nothing escaped them.
        return SECRET_TEXT.search(_ESCAPED_QUOTE.sub('"', value)) is not None
    if isinstance(value, dict):
        return any(_holds_secret(item) or (_is_value(item) and _is_secret(name)) for name, item in value.items())
    return isinstance(value, list) and any(_holds_secret(item) for item in value)


def _is_value(item: Any) -> bool:
    return item is not None and not isinstance(item, bool)


def _truncated(structured: Any) -> bool:
    return isinstance(structured, dict) and bool(structured.get("truncated"))
