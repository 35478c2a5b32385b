"""A result that is kept comes back as the client saw it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from gatelodge import (
    Audio,
    BlobContents,
    Embedded,
    Hints,
    Icon,
    Image,
    ResourceLink,
    Result,
    Text,
    TextContents,
    ToolError,
)
from gatelodge.idempotency.claim import fingerprint, settled_as
from gatelodge.idempotency.stored import pack, unpack
from gatelodge.questions import Form

BLOCKS = (
    Text("ü", Hints(audience=("user",), priority=0.5, last_modified=datetime(2026, 1, 1, tzinfo=UTC))),
    Image(b"\0\xff", "image/png"),
    Audio(b"x", "audio/wav"),
    Embedded(TextContents("a://b", "text", meta={"x": 1})),
    Embedded(BlobContents("a://c", b"\1"), Hints(priority=1.0)),
    ResourceLink("a://d", "d", icons=(Icon(src="https://x/i.png", sizes=("48x48",)),), size=3),
)


def test_every_kind_of_content_comes_back() -> None:
    """With its bytes, its hints and its icons."""
    result = unpack(pack(Result(structured={"a": [1, 2.5, None]}, content=BLOCKS, meta={"m": True})))
    assert result.content == BLOCKS
    assert (result.structured, result.meta, result.replayed) == ({"a": [1, 2.5, None]}, {"m": True}, True)


def test_what_only_the_audit_may_see_is_not_kept() -> None:
    """Before and after are no part of a reply, so none of a replay."""
    assert "canary" not in pack(Result(structured={}, before={"x": "canary"}, after={"x": "canary"}))


def test_the_fingerprint_is_of_what_is_meant() -> None:
    """Neither the order of arguments nor what only concerns the retry makes a call another one."""
    meant = {"a": 1, "b": {"x": Decimal("1.50"), "y": date(2026, 1, 1)}}
    print_ = fingerprint(meant, "ann")
    assert print_ == fingerprint({"b": {"y": date(2026, 1, 1), "x": Decimal("1.50")}, "a": 1}, "ann")
    assert print_ == fingerprint({**meant, "idempotency_key": "k", "dry_run": False}, "ann")
    others: list[dict[str, Any]] = [{"a": 2}, {"a": "1"}, {"a": None}, {}, {"A": 1}, {"a": [1]}]
    prints = {fingerprint(other, "ann") for other in [meant, {"a": 1}, *others]} | {fingerprint(meant, "bob")}
    assert len(prints) == 9


@pytest.mark.parametrize(
    ("result", "state"),
    [
        (Result(structured={}), "done"),
        (Result(questions={"sure": Form("Sure?", {})}), "free"),
        *[
            (Result(error=ToolError(code, "x")), "free")
            for code in ("validation_error", "unauthorized", "forbidden", "rate_limited", "conflict", "not_found")
        ],
        *[(Result(error=ToolError(code, "x")), "free") for code in ("upstream_4xx", "disabled")],
        *[
            (Result(error=ToolError(code, "x")), "unknown")
            for code in ("timeout", "network_error", "upstream_5xx", "internal", "outcome_unknown")
        ],
    ],
)
def test_a_key_is_freed_only_where_nothing_was_done(result: Result, state: str) -> None:
    """A question to the user and a refusal free it; of what may have happened nobody knows."""
    assert settled_as(result) == state
